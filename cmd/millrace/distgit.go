package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"millrace/clients/bugzilla"
	"millrace/clients/git"
	"millrace/clients/lookaside"
	"millrace/clients/pagure"
	"millrace/jobs"
	"millrace/jobs/sources"
)

// packages is the dist-git that this service proposes to; nil if it has no
// account there. Then dist-git is asked for rights alone.
func (v *service) packages() *jobs.Packages {
	s := v.settings.DistGit
	if s.URL == "" || s.Token == "" {
		return nil
	}
	password := s.Password
	if password == "" {
		password = s.Token
	}
	return &jobs.Packages{
		DistGit: &pagure.Client{BaseURL: s.URL, Token: s.Token, HTTP: v.client("pagure", time.Minute)},
		Host:    hostOf(s.URL), URL: s.URL, User: s.User, Password: password, Group: s.PackagerGroup,
	}
}

// propose is the step that brings releases to dist-git.
func (v *service) propose(builder *sources.Builder, data string) *jobs.Propose {
	k := &jobs.Propose{
		Engine: v.runner.Engine, Builder: builder, Packages: v.runner.Packages, Forge: v.runner.Forge, Releases: v.runner.Releases, DataDir: data,
	}
	if v.settings.Lookaside.URL != "" {
		k.Lookaside = v.lookaside()
	}
	if v.settings.Bugzilla.URL != "" {
		k.Bug = v.releaseBug
	}
	return k
}

func (v *service) lookaside() *lookaside.Client {
	s := v.settings.Lookaside
	client := &lookaside.Client{BaseURL: s.URL, UploadURL: s.UploadURL, HTTP: v.client("lookaside", time.Minute)}
	if v.kerberos != nil {
		client.Negotiate = func(ctx context.Context, host string) (string, error) {
			token, err := v.kerberos.Negotiate(ctx, host)
			return base64.StdEncoding.EncodeToString(token), err
		}
	}
	return client
}

func (v *service) bugzilla() *bugzilla.Client {
	s := v.settings.Bugzilla
	return &bugzilla.Client{BaseURL: s.URL, APIKey: s.Key, HTTP: v.client("bugzilla", 30*time.Second)}
}

// releaseBug is the bug that says that a package has a new version, if nobody has
// taken it up yet.
func (v *service) releaseBug(ctx context.Context, pkg, version string) (string, error) {
	bug, err := v.bugzilla().ReleaseBug(ctx, pkg, version)
	if err != nil || bug == nil || bug.Status != "NEW" {
		return "", err
	}
	return "rhbz#" + strconv.Itoa(bug.ID), nil
}

func (v *service) checkDistGit(ctx context.Context) (string, error) {
	s := v.settings.DistGit
	if s.URL == "" {
		return "not configured; nobody has rights from there", nil
	}
	// A package that is there as long as there is Fedora.
	access, err := v.pagure().Access(ctx, "rpms/bash")
	found := "bash belongs to "
	switch {
	case pagure.IsNotFound(err):
		found = "it does not have the package bash"
	case err != nil:
		return "", fmt.Errorf("who may commit to packages cannot be asked: %w", err)
	default:
		found += access.Owner
	}
	if s.Token == "" {
		return found + "; without distgit.token nothing is proposed there", nil
	}
	user, err := (&pagure.Client{BaseURL: s.URL, Token: s.Token, HTTP: v.client("pagure", sourceTime)}).User(ctx)
	if err != nil {
		return "", fmt.Errorf("it does not take distgit.token; make a new one on its page of settings: %w", err)
	}
	if user != s.User {
		return "", fmt.Errorf("the token is that of %s, but distgit.user is %s", user, s.User)
	}
	return "as " + user + "; " + found, nil
}

func (v *service) checkTracker(ctx context.Context) (string, error) {
	s := v.settings.Tracker
	if s.URL == "" || s.Token == "" {
		return "not configured; no issues are opened there", nil
	}
	user, err := (&pagure.Client{BaseURL: s.URL, Token: s.Token, HTTP: v.client("tracker", sourceTime)}).User(ctx)
	if err != nil {
		return "", fmt.Errorf("it does not take tracker.token; make a new one on its page of settings: %w", err)
	}
	if user != s.User {
		return "", fmt.Errorf("the token is that of %s, but tracker.user is %s", user, s.User)
	}
	return "as " + user, nil
}

func (v *service) checkLookaside(ctx context.Context) (string, error) {
	switch {
	case v.runner.Packages == nil || v.settings.Lookaside.URL == "":
		return "not configured; no archives are kept", nil
	case v.kerberos == nil:
		return "", fmt.Errorf("archives cannot be uploaded without kerberos.principal and kerberos.keytab")
	}
	// A file that nobody has. Asking for it needs the login that an upload needs.
	nothing := lookaside.Entry{Name: "millrace-doctor", HashType: "sha512", Hash: fmt.Sprintf("%0128d", 0)}
	if _, err := v.lookaside().Check(ctx, "rpms/bash", nothing); err != nil {
		return "", fmt.Errorf("archives cannot be uploaded: %w", err)
	}
	return "it takes our login", nil
}

func (v *service) checkBugzilla(ctx context.Context) (string, error) {
	s := v.settings.Bugzilla
	if s.URL == "" {
		return "not configured; no bugs are looked for", nil
	}
	if s.Key == "" {
		if _, err := v.bugzilla().ReleaseBugs(ctx, "bash"); err != nil {
			return "", fmt.Errorf("it does not answer: %w", err)
		}
		return "as nobody, which is enough for public bugs", nil
	}
	user, err := v.bugzilla().User(ctx)
	if err != nil {
		return "", fmt.Errorf("it does not take bugzilla.key: %w", err)
	}
	return "as " + user, nil
}

// maxList is how large the repository with the list of packages may be, in bytes.
const maxList = 256 << 20

// automationList is the list of packages that are switched on; nil if there is
// none, or no dist-git.
func (v *service) automationList() *jobs.AutomationList {
	s := v.settings
	if s.Automation.List == "" || v.runner.Packages == nil {
		return nil
	}
	data, err := filepath.Abs(s.DataDir)
	if err != nil {
		return nil // then nothing else of this service would have worked
	}
	g := &git.Git{NetworkTimeout: time.Minute, MaxRepository: maxList}
	return &jobs.AutomationList{
		Git: g, Cache: &git.Cache{Git: g, Dir: filepath.Join(data, "mirrors")}, Remote: git.Remote{URL: s.Automation.List},
		Path: s.Automation.Path, Every: s.Automation.Every,
	}
}
