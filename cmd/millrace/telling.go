package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"millrace/clients/mail"
	"millrace/clients/webhook"
	"millrace/handlers"
	"millrace/jobs"
)

// teller tells programs and people what happened, as far as that is configured.
func (v *service) teller() *jobs.Teller {
	s := v.settings
	t := &jobs.Teller{
		Hooks:       &webhook.Client{UserAgent: "Millrace/" + version + " (+" + s.Base + ")", Allowed: s.allowedNetworks()},
		MailsAnHour: s.Mail.PerHour,
	}
	if s.Mail.Relay != "" {
		t.Mail = s.mailClient()
	}
	return t
}

// tell has what hooks are sent made as the API shows it, and how it goes counted.
func (v *service) tell(server *handlers.Server, metrics *handlers.Metrics) {
	v.runner.Teller.Body, v.runner.Teller.Sent = server.HappeningBody, metrics.Dispatched
	server.Telling, server.Mails = v.runner, v.runner.Teller.Mail != nil
}

func (s *settings) mailClient() *mail.Client {
	return &mail.Client{
		Relay: s.Mail.Relay, From: s.Mail.From, User: s.Mail.User, Password: strings.TrimSpace(s.Mail.Password), Security: mail.Security(s.Mail.Security),
	}
}

// allowedNetworks are those that hooks may be sent to though they are not public.
func (s *settings) allowedNetworks() (all []netip.Prefix) {
	for _, text := range s.Hooks.AllowedNetworks {
		if p, err := netip.ParsePrefix(text); err == nil { // checkTelling has told of others
			all = append(all, p)
		}
	}
	return all
}

// checkTelling finds what is wrong with the settings of hooks and mail.
func (s *settings) checkTelling() []error {
	var problems []error
	for _, text := range s.Hooks.AllowedNetworks {
		if _, err := netip.ParsePrefix(text); err != nil {
			problems = append(problems, fmt.Errorf("hooks.allowed_networks: %q is no network such as 10.1.0.0/16", text))
		}
	}
	if s.Mail.Relay == "" {
		return problems
	}
	client := s.mailClient()
	if client.From == "" {
		problems = append(problems, fmt.Errorf("mail.from: the relay wants to know who mail is from; set it together with mail.relay"))
		client.From = "nobody@example.org" // what else is wrong is said too
	}
	if err := client.Check(); err != nil {
		problems = append(problems, fmt.Errorf("mail: %w", err))
	}
	return problems
}

func (v *service) checkMail(ctx context.Context) (string, error) {
	if v.settings.Mail.Relay == "" {
		return "not configured; nobody gets mail", nil
	}
	if err := v.settings.mailClient().Reach(ctx); err != nil {
		return "", fmt.Errorf("the relay does not let us in; look at mail.relay, mail.security, mail.user and mail.password: %w", err)
	}
	return v.settings.Mail.Relay + " lets us in, as " + v.settings.Mail.From, nil
}
