package box

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"millrace/clients/copr/coprfake"
	"millrace/clients/fasjson/fasjsonfake"
	"millrace/clients/github/githubfake"
	"millrace/clients/koji/kojifake"
	"millrace/clients/lookaside/lookasidefake"
	"millrace/clients/testingfarm/testingfarmfake"
)

// Trouble is something that can go wrong with a service. It passes by itself.
type Trouble string

// The troubles.
const (
	CoprDown       Trouble = "copr-down"
	BusLoses       Trouble = "bus-loses"
	BusDoubles     Trouble = "bus-doubles"
	BusLate        Trouble = "bus-late"
	BusSwaps       Trouble = "bus-swaps"
	GitHubSlow     Trouble = "github-slow"
	GitHubLimited  Trouble = "github-limited"
	GitHubLoses    Trouble = "github-loses"
	GitHubDoubles  Trouble = "github-doubles"
	FarmSlow       Trouble = "farm-slow"
	FarmDown       Trouble = "farm-down"
	FarmSaysNoWord Trouble = "farm-silent"
	PeopleDown     Trouble = "people-down"
	DistGitDown    Trouble = "dist-git-down"
	KojiDown       Trouble = "koji-down"
	KojiSilent     Trouble = "koji-silent"
	LookasideCuts  Trouble = "lookaside-cuts"
)

// troubleInfo is what pages say of a trouble.
type troubleInfo struct {
	Trouble Trouble
	Service string
	Name    string
	What    string
}

var troubles = []troubleInfo{
	{GitHubSlow, "Forge", "Slow", "Each call of the API takes three seconds."},
	{GitHubLimited, "Forge", "Rate limited", "The API refuses all calls and says when to come back."},
	{GitHubLoses, "Forge", "Loses webhooks", "Nobody is told of what happens."},
	{GitHubDoubles, "Forge", "Doubles webhooks", "Each one is sent twice, under the same id."},
	{CoprDown, "Copr", "Down", "Connections break. Builds that run go on."},
	{BusLoses, "Message bus", "Loses messages", "Copr says that builds have ended, and nobody hears it."},
	{BusDoubles, "Message bus", "Doubles messages", "Each one comes twice."},
	{BusLate, "Message bus", "Late", "Messages come ten seconds after they were sent."},
	{BusSwaps, "Message bus", "Out of order", "Each message is overtaken by the next."},
	{FarmSlow, "Testing Farm", "Slow", "New requests wait in the queue for this long."},
	{FarmDown, "Testing Farm", "Down", "All calls are answered with 503. Tests that run go on."},
	{FarmSaysNoWord, "Testing Farm", "Silent", "It does not say that tests have ended."},
	{PeopleDown, "FASJSON", "Down", "It does not say who has which account at the forge. People can log in."},
	{DistGitDown, "Dist-git", "Down", "All calls are answered with 503: nothing is proposed, and nobody knows who may commit."},
	{LookasideCuts, "Lookaside cache", "Cuts uploads", "The connection breaks in the middle of each archive."},
	{KojiDown, "Koji", "Down", "Connections break. Builds that run go on."},
	{KojiSilent, "Koji", "Silent", "The service does not hear that builds start and end. Bodhi does."},
}

// known reports whether there is such a trouble.
func (t Trouble) known() bool {
	return slices.ContainsFunc(troubles, func(i troubleInfo) bool { return i.Trouble == t })
}

// Trouble makes something go wrong for a while, for the pace's time of an
// outage if it is 0. A negative while ends it.
func (b *Box) Trouble(t Trouble, while time.Duration) error {
	if !t.known() {
		return fmt.Errorf("there is no trouble called %q", t)
	}
	if while == 0 {
		while = b.options.Pace.Outage
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if while < 0 {
		delete(b.switches, t)
	} else {
		b.switches[t] = time.Now().Add(while)
	}
	b.apply()
	return nil
}

// Troubles lists what goes wrong now, and until when.
func (b *Box) Troubles() map[Trouble]time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	all := make(map[Trouble]time.Time)
	for name, until := range b.switches {
		if until.After(now) {
			all[name] = until
		}
	}
	return all
}

// apply tells the services what goes wrong now, and does so again when the
// first trouble ends. The caller holds mu.
func (b *Box) apply() {
	now := time.Now()
	var next time.Time
	for name, until := range b.switches {
		if !until.After(now) {
			delete(b.switches, name)
			continue
		}
		if next.IsZero() || until.Before(next) {
			next = until
		}
	}
	on := func(t Trouble) bool { return !b.switches[t].IsZero() }
	left := func(t Trouble) time.Duration { return b.switches[t].Sub(now) }

	forge := githubfake.Faults{}
	if on(GitHubSlow) {
		forge.APIDelay = 3 * time.Second
	}
	if on(GitHubLimited) {
		forge.RateLimited = left(GitHubLimited)
	}
	if on(GitHubLoses) {
		forge.HookLoseEvery = 1
	}
	if on(GitHubDoubles) {
		forge.HookDoubleEvery = 1
	}
	b.Forge.SetFaults(forge)
	b.Copr.SetFaults(coprfake.Faults{Down: on(CoprDown)})
	farm := testingfarmfake.Faults{LoseNotifications: on(FarmSaysNoWord)}
	if on(FarmDown) {
		farm.FailNext = -1
	}
	b.Farm.SetFaults(farm)
	late := time.Duration(0)
	if on(BusLate) {
		late = 10 * time.Second
	}
	b.bus.setTrouble(trouble{lose: on(BusLoses), double: on(BusDoubles), swap: on(BusSwaps), late: late})

	people := fasjsonfake.Fault{}
	if on(PeopleDown) {
		people.Status = http.StatusServiceUnavailable
	}
	b.Koji.SetFaults(kojifake.Faults{Down: on(KojiDown)})
	b.kojiSilent.Store(on(KojiSilent))
	moves := lookasidefake.Moves{}
	if on(LookasideCuts) {
		moves.CutUpload = 100
	}
	b.Lookaside.SetMoves(moves)
	b.People.Misbehave(people)
	b.distGit.down.Store(on(DistGitDown))

	if b.expiry != nil {
		b.expiry.Stop()
		b.expiry = nil
	}
	if !next.IsZero() {
		b.expiry = time.AfterFunc(next.Sub(now), func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.ctx.Err() == nil {
				b.apply()
			}
		})
	}
}

// farmQueue is how long a new request for tests waits besides the usual time.
func (b *Box) farmQueue() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(0, time.Until(b.switches[FarmSlow]))
}

// serviceNames lists the services of the box in the order of troubles.
func serviceNames() []string {
	var names []string
	for _, t := range troubles {
		if !slices.Contains(names, t.Service) {
			names = append(names, t.Service)
		}
	}
	return names
}

func troublesOf(service string) []troubleInfo {
	var all []troubleInfo
	for _, t := range troubles {
		if strings.EqualFold(t.Service, service) {
			all = append(all, t)
		}
	}
	return all
}
