// Package fasjsonfake is a small FASJSON: people and groups of the Fedora
// Account System as JSON, with the manners of the real one. In place of
// Kerberos it takes tokens that it knows.
package fasjsonfake

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Person has an account.
type Person struct {
	Login   string
	Name    string
	Email   string
	GitHub  string // accounts elsewhere, as the person wrote them down; nobody checks
	GitLab  string
	Private bool
	Locked  bool
	Groups  []string
}

// Config says who there is. URL and People may be changed later.
type Config struct {
	URL    string            // where the fake is reached, in links; empty means where the request was sent to
	Tokens map[string]string // who one is, by the token that Kerberos would make
	People []Person
}

// Fault is how the fake answers instead of as it should. The zero value does
// nothing.
type Fault struct {
	Match  string        // requests whose path and query contain it; empty: all
	Delay  time.Duration // before the answer
	Status int           // instead of the answer; 500 says that LDAP is down, others come from a proxy
	Body   string        // instead of the answer, with status 200
	Cut    bool          // the connection breaks in the middle of the answer
}

// Fake is a small FASJSON. It is an http.Handler and safe for concurrent use.
type Fake struct {
	url    string
	tokens map[string]string
	mux    *http.ServeMux

	mu       sync.Mutex
	people   map[string]Person
	fault    Fault
	requests []string
}

// New makes a fake.
func New(c Config) *Fake {
	f := &Fake{url: strings.TrimSuffix(c.URL, "/"), tokens: c.Tokens, people: map[string]Person{}, mux: http.NewServeMux()}
	for _, p := range c.People {
		f.people[p.Login] = p
	}
	for pattern, answer := range map[string]func(*call) (any, *refusal){
		"GET /v1/me/{$}":                      f.me,
		"GET /v1/users/{name}/{$}":            f.user,
		"GET /v1/users/{name}/groups/{$}":     f.groupsOf,
		"GET /v1/groups/{name}/{$}":           f.group,
		"GET /v1/groups/{name}/members/{$}":   f.members,
		"GET /v1/groups/{name}/is-member/{u}": f.isMember,
	} {
		f.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { f.answer(w, r, answer) })
	}
	return f
}

// Put adds a person, or changes one.
func (f *Fake) Put(p Person) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.Groups = slices.Clone(p.Groups)
	f.people[p.Login] = p
}

// Person returns who has that login.
func (f *Fake) Person(login string) (Person, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.people[login]
	p.Groups = slices.Clone(p.Groups)
	return p, ok
}

// Misbehave lets the fake answer wrongly until it is told otherwise.
func (f *Fake) Misbehave(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// Requests are the paths that were asked for, the oldest first.
func (f *Fake) Requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// ServeHTTP implements http.Handler.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	fault := f.fault
	f.requests = append(f.requests, r.URL.Path)
	if len(f.requests) > 1000 { // a demo runs for days
		f.requests = slices.Delete(f.requests, 0, 500)
	}
	f.mu.Unlock()
	if !strings.Contains(r.URL.RequestURI(), fault.Match) {
		fault = Fault{}
	}
	if fault.Delay > 0 {
		select {
		case <-time.After(fault.Delay):
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case fault.Status == http.StatusInternalServerError:
		write(w, fault.Status, object{"message": "LDAP server is down", "source": "LDAP"})
	case fault.Status != 0:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(fault.Status)
		fmt.Fprintf(w, "<!DOCTYPE html><title>%d</title><h1>%s</h1>", fault.Status, http.StatusText(fault.Status))
	case fault.Cut:
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, `{"result": {`)
	case fault.Body != "":
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, fault.Body)
	default:
		f.mux.ServeHTTP(w, r)
	}
}

type object = map[string]any

// call is a request of somebody who proved who they are.
type call struct {
	*http.Request
	who string
}

type refusal struct {
	status int
	body   object
}

func (f *Fake) answer(w http.ResponseWriter, r *http.Request, answer func(*call) (any, *refusal)) {
	who, ok := f.who(r)
	if !ok {
		w.Header().Set("WWW-Authenticate", "Negotiate")
		write(w, http.StatusUnauthorized, object{"message": "Credential lifetime has expired", "code": 401})
		return
	}
	f.mu.Lock()
	result, no := answer(&call{r, who})
	f.mu.Unlock()
	if no != nil {
		write(w, no.status, no.body)
		return
	}
	body := object{"result": result}
	if list, ok := result.([]object); ok {
		if no = f.page(r, list, body); no != nil {
			write(w, no.status, no.body)
			return
		}
	}
	masked(r.Header.Get("X-Fields"), body["result"])
	write(w, http.StatusOK, body)
}

// who is whom a token stands for. The real one would ask Kerberos.
func (f *Fake) who(r *http.Request) (string, bool) {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Negotiate ")
	if !ok {
		return "", false
	}
	token, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", false
	}
	who, ok := f.tokens[string(token)]
	return who, ok
}

// page cuts a list as the query says; only then the answer tells of pages.
func (f *Fake) page(r *http.Request, list []object, body object) *refusal {
	q := r.URL.Query()
	const most = 1000
	size, number := 0, 1
	for name, to := range map[string]*int{"page_size": &size, "page_number": &number} {
		if !q.Has(name) {
			continue
		}
		n, err := strconv.Atoi(q.Get(name))
		if err != nil || n < 1 || (name == "page_size" && n > most) {
			return &refusal{http.StatusBadRequest, object{"message": "Input payload validation failed", "errors": object{name: "argument must be within the range 1 - " + strconv.Itoa(most)}}}
		}
		*to = n
	}
	if size == 0 {
		return nil
	}
	from := min((number-1)*size, len(list))
	to := min(from+size, len(list))
	pages := (len(list) + size - 1) / size
	page := object{"total_results": len(list), "page_size": size, "page_number": number, "total_pages": pages}
	if number < pages {
		q.Set("page_number", strconv.Itoa(number+1))
		page["next_page"] = f.base(r) + r.URL.Path + "?" + q.Encode()
	}
	body["result"], body["page"] = list[from:to], page
	return nil
}

func (f *Fake) base(r *http.Request) string { return cmp.Or(f.url, "http://"+r.Host) }

// masked leaves only the fields that the mask names: "{username,locked}".
func masked(mask string, result any) {
	mask = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(mask), "{"), "}")
	if mask == "" {
		return
	}
	var keep []string
	for field := range strings.SplitSeq(mask, ",") {
		keep = append(keep, strings.TrimSpace(field))
	}
	cut := func(o object) {
		for field := range o {
			if !slices.Contains(keep, field) {
				delete(o, field)
			}
		}
	}
	switch v := result.(type) {
	case object:
		cut(v)
	case []object:
		for _, o := range v {
			cut(o)
		}
	}
}

func (f *Fake) me(c *call) (any, *refusal) {
	return object{
		"dn": "uid=" + c.who + ",cn=users,cn=accounts,dc=fedoraproject,dc=org", "username": c.who, "service": nil,
		"uri": f.base(c.Request) + "/v1/users/" + c.who + "/",
	}, nil
}

func notFound(kind, name string) *refusal {
	return &refusal{http.StatusNotFound, object{"message": kind + " not found", "name": name}}
}

func (f *Fake) user(c *call) (any, *refusal) {
	p, ok := f.people[c.PathValue("name")]
	if !ok {
		return nil, notFound("User", c.PathValue("name"))
	}
	return f.userJSON(c, p), nil
}

// private are the fields that those who want it so show to nobody else.
var private = []string{
	"human_name", "surname", "givenname", "ircnicks", "locale", "timezone", "gpgkeyids", "github_username", "gitlab_username", "pronouns", "website", "websites", "rssurl", "rssurls",
}

func (f *Fake) userJSON(c *call, p Person) object {
	given, surname, _ := strings.Cut(p.Name, " ")
	o := object{
		"username": p.Login, "human_name": p.Name, "givenname": given, "surname": surname, "emails": []string{p.Email}, "ircnicks": nil,
		"locale": "en-US", "timezone": "UTC", "gpgkeyids": nil, "sshpubkeys": nil, "certificates": nil, "creation": "2020-01-02T03:04:05+00:00",
		"is_private": p.Private, "locked": p.Locked, "github_username": orNull(p.GitHub), "gitlab_username": orNull(p.GitLab), "pronouns": nil,
		"rhbzemail": nil, "website": nil, "rssurl": nil, "websites": []string{}, "rssurls": []string{}, "uri": f.base(c.Request) + "/v1/users/" + p.Login + "/",
	}
	if p.Private && c.who != p.Login {
		for _, field := range private {
			o[field] = nil
		}
	}
	return o
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// logins are those of everybody, in order.
func (f *Fake) logins() []string {
	var all []string
	for login := range f.people {
		all = append(all, login)
	}
	slices.Sort(all)
	return all
}

func (f *Fake) inGroup(group string) (members []string, exists bool) {
	for _, login := range f.logins() {
		if slices.Contains(f.people[login].Groups, group) {
			members = append(members, login)
		}
	}
	return members, len(members) > 0
}

func (f *Fake) groupsOf(c *call) (any, *refusal) {
	p, ok := f.people[c.PathValue("name")]
	if !ok {
		return nil, notFound("User", c.PathValue("name"))
	}
	list := []object{}
	for _, g := range slices.Sorted(slices.Values(p.Groups)) {
		list = append(list, object{"groupname": g, "uri": f.base(c.Request) + "/v1/groups/" + g + "/"})
	}
	return list, nil
}

func (f *Fake) group(c *call) (any, *refusal) {
	name := c.PathValue("name")
	if _, ok := f.inGroup(name); !ok {
		return nil, notFound("Group", name)
	}
	return object{
		"groupname": name, "description": name, "mailing_list": nil, "url": nil, "irc": nil, "discussion_url": nil,
		"uri": f.base(c.Request) + "/v1/groups/" + name + "/",
	}, nil
}

func (f *Fake) members(c *call) (any, *refusal) {
	members, ok := f.inGroup(c.PathValue("name"))
	if !ok {
		return nil, notFound("Group", c.PathValue("name"))
	}
	list := []object{}
	for _, login := range members {
		list = append(list, object{"username": login, "uri": f.base(c.Request) + "/v1/users/" + login + "/"})
	}
	return list, nil
}

func (f *Fake) isMember(c *call) (any, *refusal) {
	members, ok := f.inGroup(c.PathValue("name"))
	if !ok {
		return nil, notFound("Group", c.PathValue("name"))
	}
	return slices.Contains(members, c.PathValue("u")), nil
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// Whoever asked may have gone; nobody is left to tell.
	_ = json.NewEncoder(w).Encode(v)
}
