// Package kerberos makes tokens that prove to a service over HTTP who we are
// (SPNEGO, https://www.rfc-editor.org/rfc/rfc4559), from a keytab. Fedora's
// key distribution centre can be reached through an HTTPS proxy only; see
// relay.
package kerberos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/spnego"
)

// Fedora's.
const (
	DefaultRealm = "FEDORAPROJECT.ORG"
	DefaultProxy = "https://id.fedoraproject.org/KdcProxy"
)

// Account is who we are. It is safe for concurrent use.
type Account struct {
	Principal string       // such as "millrace", or "millrace@FEDORAPROJECT.ORG"
	Keytab    string       // path of the file with its keys
	Realm     string       // of a Principal that names none; empty means DefaultRealm
	Proxy     string       // of the key distribution centre; empty means DefaultProxy
	HTTP      *http.Client // for the proxy; nil means one with a timeout

	mu     sync.Mutex // above what follows; held while the centre is asked
	client *client.Client
	relay  *relay
}

// Negotiate makes a token for the service HTTP at a host. Tickets are kept, so
// that the centre is asked when one is missing or has expired only. It is told
// nothing of ctx but that it ended before it began: the centre answers within
// seconds, or that is an error.
func (a *Account) Negotiate(ctx context.Context, host string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if host == "" || strings.ContainsAny(host, "/@ ") {
		return nil, fmt.Errorf("making a Kerberos token: %q is no host", host)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	token, err := a.token("HTTP/" + host)
	if err != nil {
		return nil, fmt.Errorf("making a Kerberos token for %s: %w", host, err)
	}
	return token, nil
}

func (a *Account) token(service string) ([]byte, error) {
	if err := a.begin(); err != nil {
		return nil, err
	}
	if err := a.client.AffirmLogin(); err != nil {
		return nil, err
	}
	s := spnego.SPNEGOClient(a.client, service)
	if err := s.AcquireCred(); err != nil {
		return nil, err
	}
	token, err := s.InitSecContext()
	if err != nil {
		return nil, err
	}
	return token.Marshal()
}

// begin reads the keys and opens the way to the centre, once.
func (a *Account) begin() error {
	if a.client != nil {
		return nil
	}
	name, realm, _ := strings.Cut(a.Principal, "@")
	realm = cmp.Or(realm, a.Realm, DefaultRealm)
	if name == "" || strings.ContainsAny(a.Principal, " \n{}[]=") || strings.ContainsAny(realm, " \n{}[]=") {
		return errors.New("the principal is not one")
	}
	keys, err := keytab.Load(a.Keytab)
	if err != nil {
		return fmt.Errorf("reading the keytab: %w", err)
	}
	r, err := startRelay(realm, cmp.Or(a.Proxy, DefaultProxy), a.HTTP)
	if err != nil {
		return err
	}
	cfg, err := config.NewFromString(fmt.Sprintf("[libdefaults]\n default_realm = %s\n dns_lookup_kdc = false\n dns_canonicalize_hostname = false\n"+
		" rdns = false\n udp_preference_limit = 1\n[realms]\n %s = {\n  kdc = %s\n }\n", realm, realm, r.address()))
	if err != nil {
		r.close()
		return fmt.Errorf("configuring kerberos: %w", err)
	}
	a.relay = r
	a.client = client.NewWithKeytab(name, realm, keys, cfg, client.DisablePAFXFAST(true))
	return nil
}

// Close forgets all tickets and closes the way to the centre.
func (a *Account) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.client == nil {
		return
	}
	a.client.Destroy()
	a.relay.close()
	a.client, a.relay = nil, nil
}
