package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"millrace/clients/anitya"
	"millrace/clients/bugzilla"
	"millrace/clients/forgejo"
	"millrace/clients/git"
	"millrace/clients/httpx"
	"millrace/clients/lookaside"
	"millrace/clients/pagure"
	"millrace/jobs"
	"millrace/jobs/sources"
)

// The forges that dist-git can be on.
const (
	onPagure  = "pagure"
	onForgejo = "forgejo"
)

// packagesForge is what the clients of both forges can do.
type packagesForge interface {
	jobs.DistGit
	// User is whose token it is.
	User(ctx context.Context) (string, error)
	// Version answers if it is that forge.
	Version(ctx context.Context) (string, error)
}

// distGit is a client of the forge that dist-git is on, with as much time for each
// call.
func (v *service) distGit(timeout time.Duration) packagesForge {
	s := v.settings.DistGit
	if s.Forge == onForgejo {
		return &forgejo.Client{BaseURL: s.URL, Token: s.Token, HTTP: v.client(onForgejo, timeout)}
	}
	return &pagure.Client{BaseURL: s.URL, Token: s.Token, HTTP: v.client(onPagure, timeout)}
}

// rightsSource is the client that is asked who may commit. Pagure tells everybody: a
// token that has expired shall take nobody's rights away.
func (v *service) rightsSource() packagesForge {
	if s := v.settings.DistGit; s.Forge == onPagure {
		return &pagure.Client{BaseURL: s.URL, HTTP: v.client(onPagure, sourceTime)}
	}
	return v.distGit(sourceTime)
}

// pushKey is how forks are pushed to over SSH; nil: over HTTPS.
func (s *settings) pushKey() *git.SSH {
	if s.DistGit.SSHKey == "" {
		return nil
	}
	return &git.SSH{Key: s.DistGit.SSHKey, KnownHosts: s.DistGit.SSHKnownHosts}
}

// checkDistGit finds what is wrong with the forge of packages, and how it is pushed
// to.
func (s *settings) checkDistGit() []error {
	var problems []error
	complain := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	d := s.DistGit
	if d.Forge != onPagure && d.Forge != onForgejo {
		complain("distgit.forge: %q is neither %s nor %s", d.Forge, onPagure, onForgejo)
	}
	if len(d.WebhookSecrets) > 0 && d.Forge != onForgejo {
		complain("distgit.webhook_secrets: webhooks are taken of forgejo only, and distgit.forge is %s", d.Forge)
	}
	if (d.SSHKey == "") != (d.SSHKnownHosts == "") {
		complain("distgit.ssh_known_hosts: it goes together with distgit.ssh_key, as no host is trusted blindly; set both or none")
	} else if key := s.pushKey(); key != nil {
		if err := key.Check(); err != nil {
			complain("distgit.ssh_key: %w", err)
		}
	}
	return problems
}

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
		DistGit: v.distGit(time.Minute),
		Host:    hostOf(s.URL), URL: s.URL, User: s.User, Password: password, SSH: v.settings.pushKey(), Group: s.PackagerGroup,
	}
}

// propose is the step that brings releases to dist-git.
func (v *service) propose(builder *sources.Builder, data string) *jobs.Propose {
	k := &jobs.Propose{
		Engine: v.runner.Engine, Builder: builder, Packages: v.runner.Packages, Forge: v.runner.Forge, Releases: v.runner.Releases, DataDir: data,
		Program: "Millrace " + version, Config: v.runner.ConfigOfPackage,
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

// wellKnown is a package that is there as long as there is Fedora.
const wellKnown = "rpms/bash"

func (v *service) checkDistGit(ctx context.Context) (string, error) {
	s := v.settings.DistGit
	if s.URL == "" {
		return "not configured; nobody has rights from there", nil
	}
	if _, err := v.rightsSource().Version(ctx); err != nil {
		switch {
		case httpx.Status(err) == 0 || httpx.Temporary(err):
			return "", fmt.Errorf("it does not answer: %w", err)
		case httpx.Status(err) == http.StatusUnauthorized && s.Token != "":
			return "", refusedToken(err)
		}
		return "", fmt.Errorf("there is no %s at %s; look at distgit.forge and distgit.url: %w", s.Forge, s.URL, err)
	}
	found, err := v.checkCommitters(ctx)
	if err != nil {
		return "", err
	}
	if s.Token == "" {
		return found + "; without distgit.token nothing is proposed there", nil
	}
	user, err := v.distGit(sourceTime).User(ctx)
	if err != nil {
		return "", refusedToken(err)
	}
	if user != s.User {
		return "", fmt.Errorf("the token is that of %s, but distgit.user is %s", user, s.User)
	}
	return "as " + user + "; " + found, nil
}

func refusedToken(err error) error {
	return fmt.Errorf("it does not take distgit.token; make a new one on its page of settings: %w", err)
}

// checkCommitters asks what rights come from: who may commit to a package.
func (v *service) checkCommitters(ctx context.Context) (string, error) {
	access, err := v.rightsSource().Access(ctx, wellKnown)
	switch status := httpx.Status(err); {
	case status == http.StatusNotFound:
		return "it does not have the package bash", nil
	case status == http.StatusUnauthorized && v.settings.DistGit.Token == "":
		return "", fmt.Errorf("%s tells only accounts who may commit to packages; set distgit.token: %w", v.settings.DistGit.Forge, err)
	case err != nil:
		return "", fmt.Errorf("who may commit to packages cannot be asked: %w", err)
	}
	keepers := access.Keepers()
	if len(keepers) > 3 {
		keepers = append(keepers[:3:3], "others")
	}
	found := "bash belongs to " + cmp.Or(strings.Join(keepers, ", "), "nobody")
	if v.settings.DistGit.Forge == onForgejo && access.Owner == "" && len(access.Admins) == 0 {
		found += "; who is an admin of a package is not told to " + v.settings.DistGit.User + ", so admins have the rights of committers"
	}
	return found, nil
}

func (v *service) checkPush(ctx context.Context) (string, error) {
	packages := v.runner.Packages
	if packages == nil {
		return "not needed, nothing is proposed to dist-git", nil
	}
	if packages.SSH == nil {
		return "over HTTPS", nil
	}
	if _, err := exec.LookPath("ssh"); err != nil {
		return "", fmt.Errorf("distgit.ssh_key is set, but ssh cannot be run: install it (%w)", err)
	}
	address, err := packages.PushURL(ctx, wellKnown, packages.User)
	if httpx.Status(err) == http.StatusNotFound {
		return "over SSH, which is not tried: there is no package bash", nil
	}
	if err != nil {
		return "", fmt.Errorf("dist-git does not say where to push to: %w", err)
	}
	_, _, err = (&git.Git{NetworkTimeout: sshPatience}).LsRemote(ctx, git.Remote{URL: address, SSH: packages.SSH})
	switch {
	case errors.Is(err, git.ErrUntrusted):
		return "", fmt.Errorf("the host of %s is not the one that distgit.ssh_known_hosts knows: compare its keys with those that its operator publishes, and write them there: %w", address, err)
	case err != nil && strings.Contains(err.Error(), "Permission denied"):
		return "", fmt.Errorf("it does not take distgit.ssh_key; put its public key into the settings of the account %s: %w", packages.User, err)
	case err != nil:
		return "", fmt.Errorf("it cannot be spoken to over SSH: %w", err)
	}
	return "over SSH, to " + address + " and its like", nil
}

// sshPatience is how long a host may take to let us in.
const sshPatience = 15 * time.Second

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

func (v *service) checkMonitoring(ctx context.Context) (string, error) {
	if v.runner.Monitoring == nil {
		return "not configured; whether packages are watched for new versions is not known", nil
	}
	// A package that is there as long as there is Fedora.
	project, err := v.runner.Monitoring.Project(ctx, anitya.Fedora, "bash")
	switch {
	case err != nil:
		return "", fmt.Errorf("release_monitoring.url does not answer: %w", err)
	case project == nil:
		return "it answers, and does not watch bash", nil
	}
	return "it answers, and watches bash", nil
}

func (v *service) checkList(ctx context.Context) (string, error) {
	list := v.automationList()
	if list == nil {
		return "not configured; packages are switched on by pages and the API alone", nil
	}
	if _, _, err := list.Git.LsRemote(ctx, list.Remote, "HEAD"); err != nil {
		return "", fmt.Errorf("the repository in automation.list cannot be read: %w", err)
	}
	return list.Remote.URL + " can be read", nil
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
