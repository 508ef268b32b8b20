package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"millrace/clients/fas"
)

// accounts asks the account system who somebody is.
func (v *service) accounts() *fas.Client {
	l := v.settings.Login
	return &fas.Client{
		Issuer: l.Issuer, ID: l.ClientID, Secret: l.ClientSecret, RedirectURL: v.settings.Base + "/login/callback", HTTP: v.client("fas", 10*time.Second),
	}
}

func (v *service) checkLogin(ctx context.Context) (string, error) {
	l := v.settings.Login
	if l.Issuer == "" {
		return "not configured; nobody can log in", nil
	}
	issuer, err := v.accounts().Check(ctx)
	if err != nil {
		return "", fmt.Errorf("nobody can log in; look at login.issuer: %w", err)
	}
	if len(l.OperatorGroups) == 0 {
		return "", fmt.Errorf("login.operator_groups is not set: nobody operates this service by its pages")
	}
	return "by " + issuer + ", which must know the address " + v.settings.Base + "/login/callback", nil
}

// checkLogin finds what is wrong with the settings of the login.
func (s *settings) checkLogin() []error {
	l := s.Login
	var problems []error
	if l.Issuer != "" && l.ClientID == "" {
		problems = append(problems, errors.New("login.client_id: the account system gives one to each service; without it nobody can log in"))
	}
	if u, err := url.Parse(l.Issuer); err == nil && u.Scheme == "http" && !local(u.Hostname()) {
		problems = append(problems, fmt.Errorf("login.issuer: %q must begin with https, or anybody on the way can log in as anybody", l.Issuer))
	}
	if l.Idle < time.Minute || l.Session < l.Idle {
		problems = append(problems, errors.New("login.session: must be at least login.idle, and that at least 1m"))
	}
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	if l.TokenLife < day || l.TokenMost < l.TokenLife || l.TokenMost > year {
		problems = append(problems, errors.New("login.token_most: must be at least login.token_life, which must be at least 1d, and at most 365d"))
	}
	return problems
}

// local reports whether a host is this machine.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
