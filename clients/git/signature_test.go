package git

import (
	"bytes"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestSplitSignature(t *testing.T) {
	t.Parallel()
	const (
		head   = "tree 1\nparent 2\nauthor A <a> 1 +0000\ncommitter C <c> 1 +0000\n"
		header = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ\n -----END PGP SIGNATURE-----\n"
		armor  = "-----BEGIN PGP SIGNATURE-----\n\niQ\n-----END PGP SIGNATURE-----\n"
		body   = "\nSubject\n\ngpgsig is a header\n indented\n"
	)
	tag := "mergetag object 3\n type commit\n \n gpgsig inside\n"
	tests := []struct{ name, object, payload, signature string }{
		{"unsigned", head + body, head + body, ""},
		{"signed", head + header + body, head + body, armor},
		{"with a header behind it", head + header + "encoding latin1\n" + body, head + "encoding latin1\n" + body, armor},
		{"with a tag that was merged", head + tag + header + body, head + tag + body, armor},
		{"with a long name", head + strings.Replace(header, "gpgsig ", "gpgsig-sha256 ", 1) + body, head + body, armor},
		{"in the message alone", head + "\ngpgsig x\n y\n", head + "\ngpgsig x\n y\n", ""},
		{"without a message", head + header, head, armor},
	}
	for _, test := range tests {
		payload, signature, err := splitSignature([]byte(test.object))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := gocmp.Diff([]string{test.payload, test.signature}, []string{string(payload), string(signature)}); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
		if (signature == nil) != (test.signature == "") {
			t.Errorf("%s: the signature is %v", test.name, signature)
		}
	}
	for _, twice := range []string{header + header, header + strings.Replace(header, "gpgsig ", "gpgsig-sha256 ", 1)} {
		if _, _, err := splitSignature([]byte(head + twice + body)); err == nil {
			t.Error("two signatures are taken for one")
		}
	}
}

// FuzzSplitSignature: nothing of the message is ever left out of what was signed.
func FuzzSplitSignature(f *testing.F) {
	f.Add([]byte("tree 1\ngpgsig a\n b\n\nMessage\n"))
	f.Add([]byte("gpgsig a\n"))
	f.Add([]byte(" \n\n"))
	f.Fuzz(func(t *testing.T, object []byte) {
		payload, signature, err := splitSignature(object)
		if err != nil {
			return
		}
		if i := bytes.Index(object, []byte("\n\n")); i >= 0 && !bytes.HasSuffix(payload, object[i+1:]) {
			t.Errorf("%q lost a part of the message: %q", object, payload)
		}
		if signature == nil && !bytes.Equal(payload, object) {
			t.Errorf("%q is not signed, and was changed to %q", object, payload)
		}
	})
}
