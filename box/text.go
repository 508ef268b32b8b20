package box

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"time"

	"millrace/clients/copr"
)

// crumb is a step of the way to a page. The last has no address.
type crumb struct{ Text, URL string }

var menu = []struct{ Key, Text, URL string }{
	{"home", "Repositories", "/"},
	{"fedora", "Fedora", "/fedora/"},
	{"copr", "Copr", "/copr/"},
	{"farm", "Testing Farm", "/testing-farm/"},
	{"bodhi", "Bodhi", "/bodhi/"},
	{"accounts", "People", "/accounts/"},
	{"webhooks", "Webhooks", "/-/webhooks"},
	{"bus", "Message bus", "/-/bus"},
	{"receiver", "Receiver", "/-/receiver"},
	{"mail", "Mail", "/-/mail"},
}

// htmxConfig forbids what the policy forbids anyway.
const htmxConfig = `{"includeIndicatorCSS":false,"history":false,"morphIgnore":["data-htmx-powered","open"]}`

// again is the address of a page that reloads itself, or of one that does so no
// more.
func again(at *url.URL) string {
	query := at.Query()
	if query.Get("refresh") == "1" {
		query.Del("refresh")
	} else {
		query.Set("refresh", "1")
	}
	return (&url.URL{Path: at.Path, RawPath: at.RawPath, RawQuery: query.Encode()}).String()
}

func troubleName(t Trouble) string {
	for _, i := range troubles {
		if i.Trouble == t {
			return i.Service + ": " + i.Name
		}
	}
	return string(t)
}

// ago says how long ago a time was.
func ago(now, t time.Time) string {
	switch d := now.Sub(t); {
	case d < 45*time.Second:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", max(1, int(d.Round(time.Minute).Minutes())))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Round(time.Hour).Hours()))
	case d < 7*24*time.Hour:
		return fmt.Sprintf("%d d ago", int(d.Hours())/24)
	}
	return t.UTC().Format("2006-01-02")
}

// busWords says what carries messages.
func busWords(kind Bus, why string) string {
	switch {
	case kind == BusRabbitMQ:
		return "Messages go through a RabbitMQ of the box, as through Fedora's, and the service listens there."
	case why != "":
		return "Messages are posted to the service, without a broker between: " + why + "."
	}
	return "Messages are posted to the service, without a broker between."
}

func short(sha string) string { return sha[:min(len(sha), 8)] }

func many(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func pullState(state string, merged bool) (key, word string) {
	switch {
	case merged:
		return "passed", "merged"
	case state == "open":
		return "running", "open"
	}
	return "canceled", "closed"
}

func answerOf(status int) string {
	if status == 0 {
		return "–"
	}
	return fmt.Sprint(status)
}

func chrootName(name string) string {
	if name == copr.SourceChroot {
		return "source package"
	}
	return name
}

func coprTitle(p coprPage) string { return cmp.Or(p.Name, "Copr") }

func coprCrumbs(p coprPage) []crumb {
	if p.Name == "" {
		return []crumb{{Text: "Copr"}}
	}
	return []crumb{{"Copr", "/copr/"}, {Text: p.Name}}
}

// revPath is the revision of a page as one element of a path.
func revPath(p repoPage) string {
	if strings.Contains(p.Rev, "/") && len(p.Commits) > 0 {
		return p.Commits[0].SHA
	}
	return p.Rev
}

// targetOf is the repository that pull requests of a repository go to.
func targetOf(p repoPage) string { return cmp.Or(p.ForkOf, p.FullName()) }

func headOf(p repoPage, branch branchRow) string {
	if p.ForkOf != "" {
		return p.Owner + ":" + branch.Name
	}
	return branch.Name
}

func apiCommand(p repoPage) string {
	return fmt.Sprintf("curl -H 'Authorization: Bearer %s' %s/api/v3/repos/%s/pulls \\\n  -d '{\"title\": \"My change\", \"head\": \"my-change\", \"base\": \"%s\"}'",
		p.Token, p.URL, p.FullName(), p.DefaultBranch)
}

func howBuilt(p coprPage) string {
	switch {
	case p.Real:
		return "Source packages and packages are really built here, by rpmbuild in a sandbox."
	case p.Why != "":
		return "Builds are simulated: " + p.Why + ". What a spec file says is looked at, but not carried out."
	}
	return "Builds are simulated. What a spec file says is looked at, but not carried out."
}

// took is how long something has lasted, or lasts.
func took(from, to, now time.Time) string {
	if to.IsZero() {
		to = now
	}
	d := max(0, to.Sub(from)).Round(time.Second)
	if d < time.Minute {
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
}
