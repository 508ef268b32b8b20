package box

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"millrace/clients/filelock"
	"millrace/models"
)

// state is what box.json keeps.
type state struct {
	Addr string // host and port
	// PackagesAddr is that of dist-git.
	PackagesAddr string
	MailAddr     string // of the relay; empty before the first start

	Secrets secrets
	Count   map[string]int // of things that the box did, by kind
	Ambient int            // things that it did by itself

	// Linked are the accounts at the forge that people put into their profiles
	// since the box was made, by login; nil: it is being made.
	Linked map[string]string
}

type secrets struct {
	Webhook, Copr, Farm, FarmWebhook, Bus, Accounts, People, Packages, Receiver string
}

// open takes possession of the directory and reads what is in it, or makes it.
func (b *Box) open() error {
	if err := os.MkdirAll(b.options.Dir, 0o700); err != nil {
		return err
	}
	lock, err := filelock.Take(b.path("lock"))
	if err != nil {
		return err
	}
	b.lock = lock
	text, err := os.ReadFile(b.path("box.json"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		b.state.Secrets = secrets{Webhook: rand.Text(), Copr: rand.Text(), Farm: rand.Text(), FarmWebhook: rand.Text(), Bus: rand.Text()}
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(text, &b.state); err != nil {
			return fmt.Errorf("reading box.json: %w", err)
		}
	}
	if b.state.Count == nil {
		b.state.Count = make(map[string]int)
	}
	key, err := b.appKey()
	if err != nil {
		return err
	}
	s := &b.state.Secrets
	if s.Accounts == "" { // a box made before there were accounts has none
		s.Accounts = rand.Text()
	}
	if s.People == "" {
		s.People = rand.Text()
	}
	if s.Packages == "" {
		s.Packages = rand.Text()
	}
	if s.Receiver == "" {
		s.Receiver = models.NewHookSecret()
	}
	b.access = Access{
		AppID: appID, AppSlug: appSlug, AppKey: key, WebhookSecret: s.Webhook,
		CoprLogin: coprOwner + "-login", CoprToken: s.Copr, CoprOwner: coprOwner,
		TestingFarmToken: s.Farm, TestingFarmWebhookToken: s.FarmWebhook, BusToken: s.Bus,
		ClientID: clientID, ClientSecret: s.Accounts, OperatorGroup: operatorGroup, FASJSONToken: s.People,
		PackagesUser: packager, PackagesToken: s.Packages, ReceiverSecret: s.Receiver, KerberosToken: ticket(packager),
		User: visitor, UserToken: "box",
	}
	return b.save()
}

// appKey returns the App's private key, which is made once.
func (b *Box) appKey() ([]byte, error) {
	text, err := os.ReadFile(b.path("app.pem"))
	if !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	text = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	return text, replaceFile(b.path("app.pem"), text)
}

func publicKey(private []byte) (*rsa.PublicKey, error) {
	block, _ := pem.Decode(private)
	if block == nil {
		return nil, errors.New("reading app.pem: it holds no key")
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading app.pem: %w", err)
	}
	return &key.PublicKey, nil
}

// save writes box.json. Once the box is served the caller holds mu.
func (b *Box) save() error {
	text, err := json.Marshal(&b.state)
	if err != nil {
		return err
	}
	return replaceFile(b.path("box.json"), text)
}

// next counts, and returns how many there are now.
func (b *Box) next(kind string) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Count[kind]++
	return b.state.Count[kind], b.save()
}

// replaceFile replaces a file as a whole. Whoever dies meanwhile leaves the old
// one, and a temporary one that nobody reads.
func replaceFile(name string, text []byte) error {
	t, err := os.CreateTemp(filepath.Dir(name), "*.tmp")
	if err != nil {
		return err
	}
	_, err = t.Write(text)
	err = errors.Join(err, t.Close())
	if err == nil {
		err = os.Rename(t.Name(), name)
	}
	if err != nil {
		os.Remove(t.Name()) // best effort: the error matters more
	}
	return err
}
