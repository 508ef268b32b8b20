package coprfake

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"millrace/clients/copr"
)

// rpmHeader is what we read of an RPM.
type rpmHeader struct {
	copr.Package
	Source   bool
	NoArch   bool   // of an SRPM: it builds for all architectures at once
	Filename string // that rpm would give it
}

// Tags of RPM headers (https://rpm-software-management.github.io/rpm/manual/tags.html).
const (
	tagName       = 1000
	tagVersion    = 1001
	tagRelease    = 1002
	tagEpoch      = 1003
	tagArch       = 1022
	tagSourceRPM  = 1044
	tagBuildArchs = 1089

	leadSize    = 96
	maxHeader   = 64 << 20
	typeInt32   = 4
	typeString  = 6
	typeStrings = 8
)

var errNoRPM = errors.New("not an RPM")

func readRPM(name string) (rpmHeader, error) {
	file, err := os.Open(name)
	if err != nil {
		return rpmHeader{}, err
	}
	defer file.Close()
	h, err := parseRPM(file)
	if err != nil {
		return rpmHeader{}, fmt.Errorf("reading %s: %w", name, err)
	}
	return h, nil
}

// parseRPM reads a package's name from its header, as far as that.
func parseRPM(r io.Reader) (rpmHeader, error) {
	lead := make([]byte, leadSize)
	if _, err := io.ReadFull(r, lead); err != nil || !bytes.HasPrefix(lead, []byte{0xed, 0xab, 0xee, 0xdb}) {
		return rpmHeader{}, errNoRPM
	}
	_, size, err := readHeader(r) // the signatures
	if err != nil {
		return rpmHeader{}, err
	}
	if _, err := io.CopyN(io.Discard, r, int64((8-size%8)%8)); err != nil {
		return rpmHeader{}, errNoRPM
	}
	tags, _, err := readHeader(r)
	if err != nil {
		return rpmHeader{}, err
	}
	h := rpmHeader{Package: copr.Package{Name: tags.text(tagName), Version: tags.text(tagVersion), Release: tags.text(tagRelease),
		Arch: tags.text(tagArch), Epoch: tags.number(tagEpoch)}, Source: tags.text(tagSourceRPM) == "", NoArch: tags.text(tagBuildArchs) == "noarch"}
	if h.Name == "" || h.Version == "" || h.Release == "" {
		return rpmHeader{}, errNoRPM
	}
	if h.Source {
		h.Arch = "src"
	}
	h.Filename = fmt.Sprintf("%s-%s-%s.%s.rpm", h.Name, h.Version, h.Release, h.Arch)
	return h, nil
}

// rpmTags is a header: where each tag's data starts, and all data.
type rpmTags struct {
	entries map[uint32]rpmEntry
	data    []byte
}

type rpmEntry struct{ kind, offset uint32 }

func readHeader(r io.Reader) (rpmTags, int, error) {
	intro := make([]byte, 16)
	if _, err := io.ReadFull(r, intro); err != nil || !bytes.HasPrefix(intro, []byte{0x8e, 0xad, 0xe8, 1}) {
		return rpmTags{}, 0, errNoRPM
	}
	count, size := binary.BigEndian.Uint32(intro[8:]), binary.BigEndian.Uint32(intro[12:])
	if count > maxHeader/16 || size > maxHeader {
		return rpmTags{}, 0, errNoRPM
	}
	// Grown as it comes, so that a few bytes cannot ask for much memory.
	body, err := io.ReadAll(io.LimitReader(r, int64(count)*16+int64(size)))
	if err != nil || len(body) != int(count)*16+int(size) {
		return rpmTags{}, 0, errNoRPM
	}
	tags := rpmTags{entries: make(map[uint32]rpmEntry), data: body[count*16:]}
	for entry := body[:count*16]; len(entry) > 0; entry = entry[16:] {
		tags.entries[binary.BigEndian.Uint32(entry)] = rpmEntry{binary.BigEndian.Uint32(entry[4:]), binary.BigEndian.Uint32(entry[8:])}
	}
	return tags, len(body), nil
}

// text is the first text of a tag; empty if there is none.
func (t rpmTags) text(tag uint32) string {
	e, ok := t.entries[tag]
	if !ok || (e.kind != typeString && e.kind != typeStrings) || int64(e.offset) >= int64(len(t.data)) {
		return ""
	}
	text, _, ended := bytes.Cut(t.data[e.offset:], []byte{0})
	if !ended {
		return ""
	}
	return string(text)
}

func (t rpmTags) number(tag uint32) int {
	e, ok := t.entries[tag]
	if !ok || e.kind != typeInt32 || int64(e.offset)+4 > int64(len(t.data)) {
		return 0
	}
	return int(binary.BigEndian.Uint32(t.data[e.offset:]))
}
