package intake

import (
	"slices"
	"strings"
	"unicode"

	"millrace/models"
)

// What is longer than this, in bytes, is cut: forges allow no longer comments,
// and nothing else of this length is meant for people.
const (
	maxText = 64 << 10
	maxWord = 1 << 10
	maxList = 1000
)

// tidy makes what strangers wrote fit for databases, logs and pages: no control
// characters (PostgreSQL stores no NUL), nothing without end. Parsers have
// checked already what becomes part of commands, paths and addresses.
func tidy(m *models.Message) {
	for _, text := range []*string{&m.Comment, &m.Text} {
		*text = clean(*text, maxText, true)
	}
	for _, word := range []*string{
		&m.Actor, &m.Author, &m.ExternalID, &m.Target, &m.State, &m.Package, &m.NVR, &m.Title,
		&m.CheckName, &m.Account, &m.AccountType, &m.RequestedID, &m.Owner, &m.CoprProject,
		&m.App, &m.TaskID, &m.BuildSystem, &m.AnalyzedID,
	} {
		*word = clean(*word, maxWord, false)
	}
	for _, list := range []*[]string{&m.Versions, &m.Labels, &m.Repositories, &m.Changed, &m.Builds} {
		*list = cleanList(*list)
	}
}

func cleanList(list []string) []string {
	cleaned := slices.Clone(list)
	if len(cleaned) > maxList {
		cleaned = cleaned[:maxList]
	}
	for i := range cleaned {
		cleaned[i] = clean(cleaned[i], maxWord, false)
	}
	return slices.DeleteFunc(cleaned, func(s string) bool { return s == "" })
}

// clean keeps line breaks and tabs only if there may be several lines.
func clean(s string, limit int, lines bool) string {
	if len(s) > limit {
		s = s[:limit]
	}
	s = strings.ToValidUTF8(s, "")
	return strings.Map(func(r rune) rune {
		switch {
		case lines && (r == '\n' || r == '\r' || r == '\t'):
			return r
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, s)
}
