package sources

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"millrace/models"
	"millrace/models/packageconfig"
)

// choosePackage takes the package that the request names, or reads the config
// of the repository.
func (p *preparation) choosePackage(ctx context.Context) error {
	if p.req.Package != nil {
		p.pkg = *p.req.Package
	} else {
		config, err := p.readConfig(ctx)
		if err != nil {
			return err
		}
		if p.pkg, err = p.req.Choice.from(config); err != nil {
			return err
		}
	}
	return p.setDirectory()
}

func (p *preparation) readConfig(ctx context.Context) (*models.PackageConfig, error) {
	entries, err := p.repo.LsTree(ctx, "HEAD", "", true)
	if err != nil {
		return nil, p.gitError(err)
	}
	files := make([]string, len(entries))
	for i, e := range entries {
		files[i] = e.Path
	}
	name := p.req.Choice.File
	if name == "" {
		name = packageconfig.Find(files)
	}
	if name == "" {
		return nil, userError("No package config was found in the repository: add a file %s.", packageconfig.Names[0])
	}
	var text []byte
	if filepath.IsAbs(name) {
		text, err = os.ReadFile(name)
		if err != nil {
			return nil, &UserError{Message: "The package config cannot be read:", Err: err}
		}
	} else if text, err = p.tree.read(name, packageconfig.MaxSize); err != nil {
		return nil, unreadable(name, err)
	}
	p.log.step("Reading the package config %s", name)
	config, err := packageconfig.Parse(text, packageconfig.Options{
		FileName: filepath.Base(name), RepoName: repositoryName(p.req.Remote.URL), RepoFiles: files,
	})
	if err != nil {
		return nil, &UserError{Message: fmt.Sprintf("The package config %s is wrong:", name), Err: err}
	}
	return config, nil
}

// from finds the package, with the settings of the job if one is named.
func (c Choice) from(config *models.PackageConfig) (models.ConfigPackage, error) {
	for _, view := range config.Jobs {
		if c.Job >= 0 && view.Index == c.Job && (c.Package == "" || view.Package == c.Package) {
			return models.ConfigPackage{Name: view.Package, Settings: view.PackageSettings}, nil
		}
	}
	if c.Job >= 0 {
		return models.ConfigPackage{}, userError("The package config has no job %d for the package %q.", c.Job, c.Package)
	}
	if c.Package == "" && len(config.Packages) > 0 {
		return config.Packages[0], nil
	}
	pkg, ok := config.Package(c.Package)
	if !ok {
		return pkg, userError("The package config has no package %q.", c.Package)
	}
	return pkg, nil
}
