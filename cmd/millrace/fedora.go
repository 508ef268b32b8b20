package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"millrace/clients/bodhi"
	"millrace/clients/koji"
	"millrace/jobs"
	"millrace/jobs/sources"
	"millrace/models"
)

// buildTime is how long Koji may take for an answer: chunks of uploads are large.
const buildTime = 2 * time.Minute

// buildsInKoji reports whether anything is to be built in Koji, and there is a way
// to log in.
func (v *service) buildsInKoji() bool { return v.settings.Koji.HubURL != "" && v.kerberos != nil }

func (v *service) koji() *koji.Client {
	s := v.settings.Koji
	client := &koji.Client{HubURL: s.HubURL, WebURL: s.WebURL, FilesURL: s.FilesURL, HTTP: v.client("koji", buildTime)}
	if v.kerberos != nil {
		client.Negotiate = v.kerberos.Negotiate
	}
	return client
}

// bodhiAccount is who makes updates; nil: nobody.
func (v *service) bodhiAccount() *bodhi.Account {
	if v.settings.Bodhi.User == "" || v.kerberos == nil {
		return nil
	}
	return &bodhi.Account{Issuer: v.settings.Bodhi.Issuer, Negotiate: v.kerberos.Negotiate}
}

// addFedora adds the steps in Koji and Bodhi, as far as these are configured.
// Those that begin in dist-git need it as well.
func (v *service) addFedora(builder *sources.Builder, data string) {
	if !v.buildsInKoji() {
		return
	}
	r := v.runner
	r.Koji = &jobs.Koji{
		Client: v.koji(), Engine: r.Engine, Packages: r.Packages, Forge: r.Forge, Releases: r.Releases,
		Conditions: &jobs.Conditions{Builder: builder, DataDir: data},
	}
	r.Kinds[models.KojiScratchStep] = &jobs.KojiScratch{
		Koji: r.Koji, Open: (&jobs.SRPMHere{DataDir: data}).Open, HTTP: v.client("copr", 10*time.Minute), Dir: filepath.Join(data, "work"),
	}
	if r.Packages == nil {
		return
	}
	r.Kinds[models.KojiBuildStep] = &jobs.KojiBuild{Koji: r.Koji}
	if account := v.bodhiAccount(); account != nil {
		r.Bodhi.Account = account
		r.Kinds[models.BodhiUpdateStep] = &jobs.BodhiUpdate{Koji: r.Koji, Client: r.Bodhi, User: v.settings.Bodhi.User}
	}
}

func (v *service) checkKoji(ctx context.Context) (string, error) {
	if v.settings.Koji.HubURL == "" {
		return "not configured; nothing is built there", nil
	}
	client := v.koji()
	version, err := client.Ping(ctx)
	if err != nil {
		return "", fmt.Errorf("koji does not answer: %w", err)
	}
	if v.kerberos == nil {
		return "", fmt.Errorf("koji.hub_url is set, but there is no way to log in: set kerberos.principal and kerberos.keytab")
	}
	user, err := client.LoggedInUser(ctx)
	if err != nil {
		return "", fmt.Errorf("koji does not take our login; look at kerberos.principal and kerberos.keytab: %w", err)
	}
	return fmt.Sprintf("version %s, as %s", version, user.Name), nil
}

func (v *service) checkBodhi(ctx context.Context) (string, error) {
	client := &bodhi.Client{BaseURL: v.settings.Bodhi.URL, HTTP: v.client("bodhi", 20*time.Second), Account: v.bodhiAccount()}
	releases, err := client.Releases(ctx)
	if err != nil {
		return "", fmt.Errorf("aliases are expanded by the releases of %s, because Bodhi does not tell newer ones: %w", bodhi.LastKnownDate, err)
	}
	found := fmt.Sprintf("%d releases", len(releases))
	if v.settings.Bodhi.User == "" {
		return found + "; no updates are made", nil
	}
	if client.Account == nil {
		return "", fmt.Errorf("bodhi.user is set, but there is no way to log in: set kerberos.principal and kerberos.keytab")
	}
	if err := client.Login(ctx); err != nil {
		return "", fmt.Errorf("bodhi does not let us in: %w", err)
	}
	return found + ", updates are made as " + v.settings.Bodhi.User, nil
}
