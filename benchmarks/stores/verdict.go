package main

import (
	"fmt"
	"strings"
)

// tally adds up trials.
type tally struct {
	trials, accepted, opened   int
	lost, damaged, twice, most int // most is the largest loss of one trial
	disorder, died, hung       int
	hurt                       int // trials that handed out something damaged
}

func add(all []trial) (t tally) {
	for _, r := range all {
		t.trials++
		t.accepted += r.Accepted
		switch {
		case hangs(r.After.Died):
			t.hung++
			continue
		case r.After.Died != "":
			t.died++
			continue
		case r.After.Result.OpenErr != "":
			continue
		}
		a := r.After.Result.Account
		t.opened++
		t.lost += a.Lost
		t.most = max(t.most, a.Lost)
		t.damaged += a.Damaged
		t.twice += a.Twice
		t.disorder += a.Disorder
		if a.Damaged > 0 {
			t.hurt++
		}
	}
	return t
}

// opening says how many trials could not be opened and drained to the end.
func (t tally) opening() []string {
	var says []string
	if refused := t.trials - t.opened - t.died - t.hung; refused > 0 {
		says = append(says, of("does not open", refused, t.trials))
	}
	if t.died > 0 {
		says = append(says, of("crashes", t.died, t.trials))
	}
	if t.hung > 0 {
		says = append(says, of("hangs", t.hung, t.trials))
	}
	return says
}

func hangs(died string) bool { return strings.HasPrefix(died, hanging) }

func of(what string, n, all int) string {
	if all == 1 {
		return what
	}
	return fmt.Sprintf("%s %d/%d", what, n, all)
}

func (t tally) amiss() (says []string) {
	if t.twice > 0 {
		says = append(says, fmt.Sprintf("%s twice", integer(t.twice)))
	}
	if t.disorder > 0 {
		says = append(says, fmt.Sprintf("%s out of order", integer(t.disorder)))
	}
	return says
}

// killedCell sums up what was lost of what was accepted.
func killedCell(all []trial) string {
	if len(all) == 0 {
		return "failed"
	}
	t := add(all)
	says := t.opening()
	if t.opened > 0 {
		says = append(says, fmt.Sprintf("lost %s of %s", integer(t.lost), integer(t.accepted)))
	}
	if t.damaged > 0 {
		says = append(says, fmt.Sprintf("**damaged %s**", integer(t.damaged)))
	}
	return strings.Join(append(says, t.amiss()...), ", ")
}

// damageCell tells how trials ended.
func damageCell(all []trial) string {
	if len(all) == 0 {
		return "failed"
	}
	t := add(all)
	says := t.opening()
	if t.opened > 0 {
		lost := "lost " + integer(t.most)
		if t.opened > 1 && t.most > 0 {
			lost = "lost up to " + integer(t.most)
		}
		says = append(says, lost)
	}
	if t.hurt > 0 {
		says = append(says, "**"+of("hands out damaged", t.hurt, t.trials)+"**")
	}
	return strings.Join(append(says, t.amiss()...), ", ")
}

// fullCell tells the story of the small disk.
func fullCell(r trial) string {
	var says []string
	switch {
	case hangs(r.Died):
		says = append(says, "hangs")
	case r.Died != "":
		says = append(says, "crashes")
	case r.AppendErr == "":
		says = append(says, "accepts all")
	default:
		says = append(says, "refuses")
	}
	t := add([]trial{r})
	for _, o := range t.opening() {
		says = append(says, o+" in the next process")
	}
	if t.opened > 0 {
		a, after := r.After.Result.Account, r.After.Result
		says = append(says, fmt.Sprintf("lost %s of %s", integer(a.Lost), integer(r.Accepted)))
		if a.Damaged > 0 {
			says = append(says, "**hands out damaged**")
		}
		if after.AgainErr == "" {
			says = append(says, "appends again")
		} else {
			says = append(says, "still refuses when drained")
		}
	}
	return strings.Join(append(says, t.amiss()...), ", ")
}

// notes are what the store said, each text once.
func (f faults) notes(name string) (notes []string) {
	for _, s := range []struct {
		fault string
		all   []trial
	}{{"killed", f.Killed}, {"cut", f.Cut}, {"flipped", f.Flipped}, {"full disk", f.Full}} {
		seen := map[string]bool{}
		say := func(what, text string) {
			if text != "" && !seen[what] {
				seen[what] = true
				notes = append(notes, fmt.Sprintf("%s, %s: %s: %s", name, s.fault, what, quoted(text)))
			}
		}
		for _, r := range s.all {
			say("append", r.AppendErr)
			say("the process", r.Died)
			say("the next process", r.After.Died)
			say("open", r.After.Result.OpenErr)
			say("drain", r.After.Result.Account.Error)
			say("append when drained", r.After.Result.AgainErr)
			say("close", r.After.Result.CloseErr)
		}
	}
	if f.Failed != "" {
		notes = append(notes, fmt.Sprintf("%s failed, %s", name, quoted(f.Failed)))
	}
	if f.Skipped != "" {
		notes = append(notes, fmt.Sprintf("%s, full disk: skipped, %s", name, f.Skipped))
	}
	return notes
}

// integer with commas.
func integer(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
