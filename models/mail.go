package models

import (
	"fmt"
	"strings"
)

// Mail is a message to a person, in words.
type Mail struct {
	Subject string
	Text    string
	Thread  string // what has the same belongs together; empty: it stands alone
}

// MailOf writes the mail about a happening, whose Project is loaded. why says why
// somebody gets it, stop is where that can be ended.
func MailOf(h *Happening, why, stop string) Mail {
	m := Mail{Subject: mailTitle(h), Thread: h.Thread}
	var b strings.Builder
	fmt.Fprintf(&b, "%s.\n", mailTitle(h))
	if h.Data.Actor != "" {
		fmt.Fprintf(&b, "By %s.\n", oneLine(h.Data.Actor, 100))
	}
	for i, f := range h.Data.Failures {
		if i == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "- %s: %s\n  %s\n", f.What, firstOf(f.Reason, "It failed."), f.URL)
	}
	if h.Data.More > 0 {
		fmt.Fprintf(&b, "- and %d more\n", h.Data.More)
	}
	if h.Todo != "" {
		fmt.Fprintf(&b, "\nWhat you can do: %s\n  %s\n", h.Todo, h.TodoURL)
	}
	fmt.Fprintf(&b, "\nAll about it:\n  %s\n", h.URL)
	m.Text = b.String() + footer(why, stop)
	return m
}

// DigestOf writes one mail about several happenings, in their order.
func DigestOf(all []*Happening, stop string) Mail {
	urgent := 0
	for _, h := range all {
		if h.Urgent() && !h.Data.Again {
			urgent++
		}
	}
	m := Mail{Subject: fmt.Sprintf("%d things happened", len(all))}
	if urgent > 0 {
		m.Subject += fmt.Sprintf(", %d of them wait for somebody", urgent)
	}
	var b strings.Builder
	b.WriteString("So much happened lately that it is told together.\n")
	for _, h := range all {
		fmt.Fprintf(&b, "\n- %s\n", mailTitle(h))
		for _, f := range h.Data.Failures[:min(len(h.Data.Failures), 2)] {
			fmt.Fprintf(&b, "  %s: %s\n", f.What, firstOf(f.Reason, "It failed."))
		}
		fmt.Fprintf(&b, "  %s\n", h.URL)
	}
	m.Text = b.String() + footer("You get this for all that you hear of by mail.", stop)
	return m
}

func mailTitle(h *Happening) string {
	name := "Millrace"
	if h.Project != nil {
		name = h.Project.FullName()
	}
	title := h.Title
	if h.Data.Again {
		title = strings.TrimSuffix(title, " "+endWords[Passed]) + " works again"
	}
	return name + ": " + title
}

// footer stands at the end of each mail. Two dashes and a blank are what programs
// for mail know as the beginning of what is not part of the message.
func footer(why, stop string) string {
	return fmt.Sprintf("\n-- \n%s\nTo stop that, or to hear of more or less:\n  %s\n", why, stop)
}

// Why says why somebody gets mail of a subscription whose Project is loaded.
func (s *Subscription) Why() string {
	if s == nil {
		return "You get this because you made the hook."
	}
	about := "what you asked for or switched on yourself"
	if s.Interest == ProjectInterest && s.Project != nil {
		about = s.Project.FullName() + ", which you watch"
	}
	what := "failures, and what waits for somebody"
	if s.Level == EverythingLevel {
		what = "everything"
	}
	return fmt.Sprintf("You hear of %s: %s.", about, what)
}
