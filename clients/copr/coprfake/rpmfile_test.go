package coprfake

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"millrace/clients/copr"
)

// header makes an RPM header of texts and one epoch.
func header(epoch uint32, texts map[uint32]string) []byte {
	var entries, data []byte
	entry := func(tag, kind uint32) {
		for _, n := range []uint32{tag, kind, uint32(len(data)), 1} {
			entries = binary.BigEndian.AppendUint32(entries, n)
		}
	}
	if epoch > 0 {
		entry(tagEpoch, typeInt32)
		data = binary.BigEndian.AppendUint32(data, epoch)
	}
	for tag, text := range texts {
		kind := uint32(typeString)
		if tag == tagBuildArchs {
			kind = typeStrings
		}
		entry(tag, kind)
		data = append(append(data, text...), 0)
	}
	out := []byte{0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0}
	out = binary.BigEndian.AppendUint32(out, uint32(len(entries)/16))
	out = binary.BigEndian.AppendUint32(out, uint32(len(data)))
	return append(append(out, entries...), data...)
}

func rpmOf(h []byte) []byte {
	lead := make([]byte, leadSize)
	copy(lead, []byte{0xed, 0xab, 0xee, 0xdb})
	signatures := header(0, map[uint32]string{1234: "abc"}) // 4 bytes of data: 4 more follow
	return append(append(append(lead, signatures...), 0, 0, 0, 0), h...)
}

func TestParseRPM(t *testing.T) {
	t.Parallel()
	got, err := parseRPM(bytes.NewReader(rpmOf(header(2, map[uint32]string{tagName: "wheel", tagVersion: "2.1", tagRelease: "3.fc43",
		tagArch: "x86_64", tagBuildArchs: "noarch"}))))
	if err != nil {
		t.Fatal(err)
	}
	want := rpmHeader{Package: copr.Package{Name: "wheel", Epoch: 2, Version: "2.1", Release: "3.fc43", Arch: "src"}, Source: true, NoArch: true,
		Filename: "wheel-2.1-3.fc43.src.rpm"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("source package (-want +got):\n%s", diff)
	}
	got, err = parseRPM(bytes.NewReader(rpmOf(header(0, map[uint32]string{tagName: "wheel", tagVersion: "2.1", tagRelease: "3",
		tagArch: "noarch", tagSourceRPM: "wheel-2.1-3.src.rpm"}))))
	if err != nil || got.Source || got.Filename != "wheel-2.1-3.noarch.rpm" {
		t.Errorf("package: %+v, %v", got, err)
	}
}

func FuzzParseRPM(f *testing.F) {
	whole := rpmOf(header(1, map[uint32]string{tagName: "a", tagVersion: "1", tagRelease: "1"}))
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(whole[:leadSize+20])
	f.Fuzz(func(t *testing.T, data []byte) {
		if h, err := parseRPM(bytes.NewReader(data)); err == nil && (h.Name == "" || h.Filename == "") {
			t.Errorf("incomplete: %+v", h)
		}
	})
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		source        copr.Source
		name, version string
	}{
		{copr.Source{Data: map[string]string{"script": "git clone https://forge.example/mill/wheel.git;"}}, "wheel", "1.0-1"},
		{copr.Source{Data: map[string]string{"script": "true"}}, "project", "1.0-1"},
		{copr.Source{Data: map[string]string{"url": "https://s.example/x/saw-mill-2.1-3.fc43.src.rpm"}}, "saw-mill", "2.1-3"},
		{copr.Source{Data: map[string]string{"script": "curl 'https://s.example/../..'"}}, "project", "1.0-1"},
	} {
		name, version := describe(Build{Project: "project", Source: test.source})
		if name != test.name || version != test.version {
			t.Errorf("%v: %s %s, want %s %s", test.source.Data, name, version, test.name, test.version)
		}
	}
}

func TestDist(t *testing.T) {
	t.Parallel()
	for chroot, want := range map[string]string{"fedora-43-x86_64": ".fc43", "fedora-rawhide-aarch64": ".fc" + rawhideFedora,
		"fedora-latest-x86_64": ".fc" + latestFedora, "epel-9-x86_64": ".el9", "centos-stream-10-x86_64": ".el10", "": ".fc" + latestFedora} {
		if got := dist(chroot); got != want {
			t.Errorf("%q: %s, want %s", chroot, got, want)
		}
	}
}
