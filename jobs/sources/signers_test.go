package sources

import (
	"errors"
	"strings"
	"testing"

	"millrace/clients/gpg"
	"millrace/clients/gpg/gpgtest"
)

// sign makes a commit in dist-git that is signed by a key, with git itself.
func (u *upstream) sign(h *gpgtest.Home, key, message string) {
	u.t.Helper()
	u.git("add", "--all")
	u.git("-c", "gpg.program="+h.Program(), "-c", "user.signingKey="+key+"!", "commit", "--quiet", "--allow-empty", "--gpg-sign", "--message", message)
}

func TestAllowedKeys(t *testing.T) {
	t.Parallel()
	h := gpgtest.New(t)
	ada, mallory := h.Key("Ada <ada@mill.example>", "0"), h.Key("Mallory <mallory@mill.example>", "0")
	sub := h.Subkey(ada, "0")
	m := newMill(t)
	m.builder.Keyring = &gpg.Keyring{Path: h.Export(ada, mallory)}
	m.dist.git("checkout", "--quiet", "f43")
	refused := func(what, config, message, cause string) {
		t.Helper()
		_, err := m.builder.SyncRelease(t.Context(), m.request(config, nil))
		user, ok := errors.AsType[*UserError](err)
		if !ok || !strings.Contains(user.Message, message) || !strings.Contains(err.Error(), cause) {
			t.Errorf("%s: %v, want %s, as %s", what, err, message, cause)
		}
	}
	const refusal = "not signed by the authorized gpg key."
	wanted := "allowed_gpg_keys: ['" + ada + "']\n" + pull
	refused("not signed", wanted, "Last commit "+m.dist.git("rev-parse", "f43")+" "+refusal, "it is not signed")
	m.dist.sign(h, mallory, "Signed by another")
	refused("by another", wanted, refusal, "the key "+mallory+" is not among allowed_gpg_keys")
	refused("by nobody's leave", "allowed_gpg_keys: []\n"+pull, refusal, "is not among")
	refused("an id that everybody can have", "allowed_gpg_keys: ['"+ada[32:]+"']\n"+pull, "allowed_gpg_keys cannot be used", "names no key")
	m.dist.sign(h, sub, "Signed by a subkey")
	m.must(m.request(wanted, nil))
	m.must(m.request("allowed_gpg_keys: ['"+sub[24:]+"']\n"+pull, nil))

	// What the branch itself demands counts; its commits say so.
	m.dist.write(".packit.yaml", "allowed_gpg_keys: ['"+mallory+"']\n"+pull)
	m.dist.sign(h, ada, "Demand another")
	refused("what the branch demands", wanted, refusal, "the key "+ada)
	m.dist.write(".packit.yaml", "allowed_gpg_keys: ["+pull)
	m.dist.sign(h, ada, "Break it")
	refused("what nobody can read", wanted, "Who must sign commits of branch f43 cannot be read from its .packit.yaml", "")
	m.dist.write(".packit.yaml", pull)
	m.dist.sign(h, ada, "Demand nothing")
	m.must(m.request(wanted, nil))

	// An action cannot make it look signed.
	m.dist.write("innocent", "x")
	m.dist.commit("Not signed")
	refused("after an action", "actions: {post-upstream-clone: \"bash -c 'cd $PACKIT_DOWNSTREAM_REPO && git reset --hard HEAD~'\"}\n"+wanted, refusal, "it is not signed")
}

// TestNobodyToVerify: without keys it is not known who signed, and the operator is told.
func TestNobodyToVerify(t *testing.T) {
	t.Parallel()
	h := gpgtest.New(t)
	ada := h.Key("Ada <ada@mill.example>", "0")
	m := newMill(t)
	m.dist.git("checkout", "--quiet", "f43")
	m.dist.sign(h, ada, "Signed")
	wanted := "allowed_gpg_keys: ['" + ada + "']\n" + pull
	for _, keyring := range []*gpg.Keyring{nil, {Path: "/nonexistent"}} {
		m.builder.Keyring = keyring
		_, err := m.builder.SyncRelease(t.Context(), m.request(wanted, nil))
		if undecided, ok := errors.AsType[*UndecidedError](err); !ok || !strings.Contains(undecided.Reason, "git.keyring") {
			t.Errorf("%+v: %v", keyring, err)
		}
	}
	older := func(r *SyncRequest) { r.Tag, r.Version, r.Upstream.URL = "", "0.8", "" }
	if _, err := m.builder.SyncRelease(t.Context(), m.request(wanted, older)); err == nil || !strings.Contains(err.Error(), "Skipping the update") {
		t.Errorf("what is not for the branch needs no signature: %v", err)
	}
}
