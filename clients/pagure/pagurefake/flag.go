package pagurefake

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"millrace/clients/git"
	"millrace/clients/git/fakeforge"
)

var statuses = []string{"success", "failure", "error", "pending", "canceled"}

const maxUID = 32

// readFlag reads the form of a flag.
func readFlag(form url.Values) (fakeforge.Flag, error) {
	if err := required(form, "username", "comment", "url"); err != nil {
		return fakeforge.Flag{}, err
	}
	flag := fakeforge.Flag{
		UID: strings.TrimSpace(form.Get("uid")), Name: form.Get("username"), Text: strings.TrimSpace(form.Get("comment")),
		URL: strings.TrimSpace(form.Get("url")), Status: strings.TrimSpace(form.Get("status")), Percent: strings.TrimSpace(form.Get("percent")),
	}
	address, err := url.Parse(flag.URL)
	switch {
	case err != nil || !address.IsAbs() || address.Host == "":
		return flag, invalid("url", "Invalid URL.")
	case !slices.Contains(statuses, flag.Status):
		return flag, invalid("status", "Not a valid choice")
	case len(flag.UID) > maxUID:
		return flag, invalid("uid", "Field cannot be longer than 32 characters.")
	}
	if n, err := strconv.Atoi(flag.Percent); flag.Percent != "" && (err != nil || n < 0 || n > 100) {
		return flag, invalid("percent", "Not a valid percentage")
	}
	return flag, nil
}

func (f *Fake) flagJSON(base string, flag fakeforge.Flag) object {
	var percent any
	if n, err := strconv.Atoi(flag.Percent); err == nil {
		percent = n
	}
	return object{
		"commit_hash": flag.Commit, "username": flag.Name, "percent": percent, "comment": flag.Text, "status": flag.Status, "url": flag.URL,
		"date_created": stamp(flag.Created), "date_updated": stamp(flag.Updated), "user": f.userJSON(base, flag.Author),
	}
}

func (f *Fake) flagPull(c *call) (any, error) {
	p, err := f.pull(c)
	if err != nil {
		return nil, err
	}
	return f.flag(c, p.Number, "")
}

func (f *Fake) flagCommit(c *call) (any, error) {
	if !f.hasCommit(c) {
		return nil, &refusal{404, "ENOCOMMIT", "No such commit found in this repository", nil}
	}
	return f.flag(c, 0, c.rest[0])
}

func (f *Fake) hasCommit(c *call) bool {
	if !git.IsSHA(c.rest[0]) {
		return false
	}
	_, err := f.forge.Bare(c.repo.Path).RevParse(c.r.Context(), c.rest[0])
	return err == nil
}

func (f *Fake) flag(c *call, number int, commit string) (any, error) {
	flag, err := readFlag(c.form)
	if err != nil {
		return nil, err
	}
	flag.Author, flag.Commit = c.login, commit
	flag, isNew, err := f.forge.SetFlag(c.repo.Path, number, flag)
	if err != nil {
		return nil, err
	}
	message := "Flag updated"
	if isNew {
		message = "Flag added"
	}
	base := f.address(c.r)
	return object{"message": message, "uid": flag.UID, "flag": f.flagJSON(base, flag), "avatar_url": base + "/avatar.png", "user": c.login}, nil
}

func (f *Fake) listPullFlags(c *call) (any, error) {
	p, err := f.pull(c)
	if err != nil {
		return nil, err
	}
	return f.flags(c, p.Head)
}

func (f *Fake) listFlags(c *call) (any, error) {
	if !f.hasCommit(c) {
		return nil, &refusal{404, "ENOCOMMIT", "No such commit found in this repository", nil}
	}
	return f.flags(c, c.rest[0])
}

func (f *Fake) flags(c *call, commit string) (any, error) {
	flags, err := f.forge.Flags(c.repo.Path, commit)
	if err != nil {
		return nil, err
	}
	all := []object{}
	for _, flag := range flags {
		all = append(all, f.flagJSON(f.address(c.r), flag))
	}
	return object{"flags": all, "total_flags": len(all)}, nil
}
