package sources

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"millrace/clients/git"
	"millrace/clients/gpg"
	"millrace/models"
	"millrace/models/packageconfig"
)

// signers are the keys of which one must have signed the newest commit of a branch
// of dist-git, and that commit as it was before any command of the package ran.
type signers struct {
	keys   []string
	commit *git.SignedCommit
}

// findSigners reads whose signature the branch of dist-git demands. The package
// config on that branch counts; where it demands none, that of the job does.
func (s *syncing) findSigners(ctx context.Context) error {
	keys, err := s.keysOnBranch()
	if err != nil {
		return err
	}
	if keys == nil {
		keys = s.pkg.Settings.AllowedGPGKeys
	}
	if keys == nil {
		return nil
	}
	s.signers = &signers{keys: keys}
	if s.signers.commit, err = s.distRepo.Signed(ctx, s.base); err != nil {
		return s.gitError(err)
	}
	return nil
}

// keysOnBranch is allowed_gpg_keys of the first package of the config on the branch;
// nil if there is none.
func (s *syncing) keysOnBranch() ([]string, error) {
	var names []string
	for _, name := range packageconfig.Names {
		if s.dist.isFile(name) {
			names = append(names, name)
		}
	}
	name := packageconfig.Find(names)
	if name == "" {
		return nil, nil
	}
	text, err := s.dist.read(name, packageconfig.MaxSize)
	if err != nil {
		return nil, unreadable(name, err)
	}
	pkg := s.pkg.Settings.Downstream()
	config, err := packageconfig.Parse(text, packageconfig.Options{FileName: name, RepoName: pkg, RepoFiles: []string{pkg + ".spec"}})
	if err != nil && !strings.Contains(string(text), "allowed_gpg_keys") {
		return nil, nil // it demands nothing, whatever else is wrong with it
	}
	if err != nil {
		return nil, &UserError{Message: fmt.Sprintf("Who must sign commits of branch %s cannot be read from its %s:", s.sync.Branch, name), Err: err}
	}
	if len(config.Packages) == 0 {
		return nil, nil
	}
	return config.Packages[0].Settings.AllowedGPGKeys, nil
}

// checkSigner refuses a branch whose newest commit is not signed by one of those who
// may: what is proposed would be built on it.
func (s *syncing) checkSigner(ctx context.Context) error {
	if s.signers == nil {
		return nil
	}
	commit := s.signers.commit
	if _, err := models.KeyAllowed(s.signers.keys, "", ""); err != nil {
		return &UserError{Message: "allowed_gpg_keys cannot be used:", Err: err}
	}
	verdict, err := s.Keyring.Verify(ctx, commit.Payload, commit.Signature)
	if no, ok := errors.AsType[*gpg.SetupError](err); ok {
		return &UndecidedError{fmt.Sprintf("allowed_gpg_keys is set, and this service cannot verify signatures of commits: %s "+
			"Its operator sets git.keyring to a file or directory with the public keys, and installs gpg.", no.Reason)}
	}
	if err != nil {
		return fmt.Errorf("verifying the commit %s of dist-git: %w", commit.SHA, err)
	}
	problem := verdict.Problem
	if problem == "" {
		if ok, err := models.KeyAllowed(s.signers.keys, verdict.Key, verdict.Primary); err != nil {
			return err
		} else if ok {
			s.log.step("The commit %s of dist-git is signed by %s", commit.SHA, verdict.Key)
			return nil
		}
		problem = fmt.Sprintf("the key %s is not among allowed_gpg_keys", verdict.Key)
	}
	return &UserError{Message: fmt.Sprintf("Last commit %s not signed by the authorized gpg key.", commit.SHA), Err: errors.New(problem)}
}
