package githubfake

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
)

func (f *Fake) routesOfApp(on func(string, right, handler)) {
	on("GET /app", theApp, func(q *request) (answer, error) { return ok(f.appJSON()) })
	on("GET /app/installations", theApp, func(q *request) (answer, error) {
		return ok(objects(page(q, f.world.Installations), f.installationJSON))
	})
	on("GET /app/installations/{id}", theApp, func(q *request) (answer, error) {
		i, err := f.installationByID(q.id("id"))
		if err != nil {
			return answer{}, err
		}
		return ok(f.installationJSON(i))
	})
	on("POST /app/installations/{id}/access_tokens", theApp, f.createToken)
	on("GET /repos/{owner}/{repo}/installation", theApp, func(q *request) (answer, error) {
		i := f.installation(q.repo)
		if i == nil {
			return answer{}, notFound()
		}
		return ok(f.installationJSON(i))
	})
	on("GET /orgs/{account}/installation", theApp, f.accountInstallation)
	on("GET /users/{account}/installation", theApp, f.accountInstallation)
	on("GET /installation/repositories", someone, f.installedRepositories)
	on("GET /app/hook/config", theApp, func(q *request) (answer, error) {
		return ok(object{"url": f.config.WebhookURL, "content_type": "json", "insecure_ssl": "0", "secret": "********"})
	})
	on("GET /app/hook/deliveries", theApp, f.listDeliveries)
	on("POST /app/hook/deliveries/{id}/attempts", theApp, f.attemptDelivery)
	on("GET /rate_limit", anyone, f.rateLimit)
	on("GET /user", someone, func(q *request) (answer, error) { return ok(f.userJSON(q.who.login)) })
	on("GET /users/{account}", anyone, func(q *request) (answer, error) {
		if !f.knows(q.PathValue("account")) {
			return answer{}, notFound()
		}
		return ok(f.userJSON(q.PathValue("account")))
	})
}

func (f *Fake) installationByID(id int64) (*Installation, error) {
	for _, i := range f.world.Installations {
		if i.ID == id {
			return i, nil
		}
	}
	return nil, notFound()
}

func (f *Fake) createToken(q *request) (answer, error) {
	i, err := f.installationByID(q.id("id"))
	if err != nil {
		return answer{}, err
	}
	token, expires := f.newToken(i)
	if err := f.save(nil); err != nil {
		return answer{}, err
	}
	return created(object{"token": token, "expires_at": stamp(expires), "permissions": permissions(), "repository_selection": "all"})
}

func (f *Fake) accountInstallation(q *request) (answer, error) {
	for _, i := range f.world.Installations {
		if equalFold(i.Account, q.PathValue("account")) {
			return ok(f.installationJSON(i))
		}
	}
	return answer{}, notFound()
}

func (f *Fake) installedRepositories(q *request) (answer, error) {
	if q.who.installation == nil {
		return answer{}, &refusal{Status: http.StatusForbidden, Message: "You must authenticate with an installation access token"}
	}
	var all []*repo
	for _, r := range f.repos {
		if f.installation(r) == q.who.installation {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *repo) int { return int(a.ID - b.ID) })
	return ok(object{"total_count": len(all), "repositories": objects(page(q, all), f.repoJSON)})
}

func (f *Fake) listDeliveries(q *request) (answer, error) {
	// Deliveries are paged by a cursor: the number of the last one seen.
	query := q.URL.Query()
	size, err := strconv.Atoi(query.Get("per_page"))
	if err != nil || size < 1 || size > 100 {
		size = 30
	}
	cursor, err := strconv.ParseInt(query.Get("cursor"), 10, 64)
	if err != nil {
		cursor = math.MaxInt64
	}
	var newest []*Delivery
	for _, d := range slices.Backward(f.hooks.log) {
		if d.ID >= cursor {
			continue
		}
		if len(newest) == size {
			next := newest[size-1].ID
			q.header.Set("Link", fmt.Sprintf(`<http://%s%s?per_page=%d&cursor=%d>; rel="next"`, q.Host, q.URL.Path, size, next))
			break
		}
		newest = append(newest, d)
	}
	return ok(objects(newest, func(d *Delivery) object {
		status := "OK"
		if d.State != "delivered" {
			status = d.State
		}
		return object{
			"id": d.ID, "guid": d.GUID, "delivered_at": stamp(d.Created), "redelivery": d.Redelivered, "duration": 0.1,
			"status": status, "status_code": d.StatusCode, "event": d.Event, "action": text(d.Action), "url": d.URL,
		}
	}))
}

func (f *Fake) attemptDelivery(q *request) (answer, error) {
	id := q.id("id")
	for _, d := range f.hooks.log {
		if d.ID == id {
			d.Redelivered, d.State = true, "pending"
			f.hooks.queue = append(f.hooks.queue, d)
			f.hooks.changed.Broadcast()
			return answer{http.StatusAccepted, object{}}, nil
		}
	}
	return answer{}, notFound()
}

func (f *Fake) rateLimit(q *request) (answer, error) {
	used, reset := 0, f.now()
	if w, ok := f.calls[q.Header.Get("Authorization")]; ok && f.now().Before(w.reset) {
		used, reset = w.used, w.reset
	}
	rateHeaders(q.header, f.config.RateLimit, used, reset)
	core := object{"limit": f.config.RateLimit, "remaining": max(f.config.RateLimit-used, 0), "used": used, "reset": reset.Unix()}
	return ok(object{"resources": object{"core": core}, "rate": core})
}

// knows reports whether there is such an account. The caller holds mu.
func (f *Fake) knows(login string) bool {
	_, known := f.world.Users[key(login)]
	return known
}

// AccountID is the number of an account, 0 if it is not known.
func (f *Fake) AccountID(login string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.knows(login) {
		return 0
	}
	return f.user(login).ID
}

// RenameUser gives an account another name. Others may take the old one.
func (f *Fake) RenameUser(login, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.knows(login) || f.knows(name) {
		return notFound()
	}
	u := f.world.Users[key(login)]
	delete(f.world.Users, key(login))
	u.Login = name
	f.world.Users[key(name)] = u
	return f.save(nil)
}

// AddUser makes a person known.
func (f *Fake) AddUser(login string) error { return f.addAccount(login, "User") }

// AddOrganization makes an organization known.
func (f *Fake) AddOrganization(login string) error { return f.addAccount(login, "Organization") }

func (f *Fake) addAccount(login, kind string) error {
	if !nameOK(login) {
		return fmt.Errorf("account %q: bad name", login)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.user(login).Type = kind
	return f.save(nil)
}

// Install installs the App on an account, on all its repositories if none is
// named, and tells the App.
func (f *Fake) Install(account string, repos ...string) (Installation, error) {
	return f.InstallAs(account, account, repos...)
}

// InstallAs is Install by somebody, who need not be the account itself.
func (f *Fake) InstallAs(by, account string, repos ...string) (Installation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range f.world.Installations {
		if equalFold(i.Account, account) {
			return *i, nil
		}
	}
	i := &Installation{ID: f.newID(), Account: f.user(account).Login, Repos: repos, Created: f.now()}
	f.world.Installations = append(f.world.Installations, i)
	if err := f.save(nil); err != nil {
		return Installation{}, err
	}
	list := []object{}
	for _, r := range f.repos {
		if f.installation(r) == i {
			list = append(list, object{"id": r.ID, "node_id": fmt.Sprint(r.ID), "name": r.Name, "full_name": r.FullName(), "private": false})
		}
	}
	f.enqueueApp(account, "installation", "created", object{
		"installation": f.installationJSON(i), "repositories": list, "requester": nil, "sender": f.userJSON(by),
	})
	return *i, nil
}

// Uninstall removes the App from an account and tells it.
func (f *Fake) Uninstall(account string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n, i := range f.world.Installations {
		if !equalFold(i.Account, account) {
			continue
		}
		payload := object{"installation": f.installationJSON(i), "repositories": []object{}, "sender": f.userJSON(account)}
		f.world.Installations = slices.Delete(f.world.Installations, n, n+1)
		for token, t := range f.world.Tokens {
			if t.Installation == i.ID {
				delete(f.world.Tokens, token)
			}
		}
		f.enqueueApp(account, "installation", "deleted", payload)
		return f.save(nil)
	}
	return fmt.Errorf("installation on %s: %w", account, ErrNotFound)
}
