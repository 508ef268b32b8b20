package sources

import (
	"fmt"

	"millrace/models"
	"millrace/models/rpm"
	"millrace/models/specfile"
)

// PolicyFacts are what decides whether a release is for a branch.
type PolicyFacts struct {
	Branch, Version string
	Downstream      string // version of the spec file on the branch; empty if that is not known
	Masked          bool   // version_update_mask is for this branch
}

// Policy says why a release is not for a branch of dist-git, by a *SkipError, or what
// of the config cannot be used, by a *UserError.
func Policy(settings *models.PackageSettings, f PolicyFacts) error {
	if err := notOlder(f.Downstream, f.Version); err != nil {
		return err
	}
	return wanted(settings, f.Branch, f.Downstream, f.Version, f.Masked)
}

// notOlder skips what dist-git is ahead of, as far as its version is known.
func notOlder(downstream, version string) error {
	if specfile.IsExpanded(downstream) && downstream != "" && rpm.CompareVersions(version, downstream) < 0 {
		return skip("Downstream specfile version %s is higher than the version to propose (%s). Skipping the update.", downstream, version)
	}
	return nil
}

// wayIn says how a release that a key keeps out would come in, to whom that is a
// surprise.
func wayIn(key string) string {
	return fmt.Sprintf("If the branch shall have it, change %s in the package config: https://packit.dev/docs/configuration#%s", key, key)
}

// wanted skips what version_update_mask and version_update_specifiers do not let in.
func wanted(settings *models.PackageSettings, branch, current, version string, masked bool) error {
	if mask := settings.VersionUpdateMask; mask != nil && masked {
		allowed, err := rpm.MaskAllows(*mask, current, version)
		if err != nil {
			return &UserError{Message: "version_update_mask is not a usable regular expression:", Err: err}
		}
		if !allowed {
			return skip("The upstream released version %s does not match specfile version %s at branch %s using the version_update_mask %q. %s",
				version, current, branch, *mask, wayIn("version_update_mask"))
		}
	}
	if text := settings.VersionUpdateSpecifiers; text != nil && *text != "" {
		specifier, err := rpm.ParseSpecifier(*text)
		if err != nil {
			return &UserError{Message: "version_update_specifiers cannot be read:", Err: err}
		}
		if !specifier.Allows(version) {
			return skip("The upstream released version %s does not satisfy the version_update_specifiers %q. %s",
				version, *text, wayIn("version_update_specifiers"))
		}
	}
	return nil
}
