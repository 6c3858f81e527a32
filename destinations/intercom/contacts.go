package intercom

import (
	"errors"
	"sync"
	"time"
)

var errNoContact = errors.New("intercom: no contact has this e-mail address")

// How many ids of contacts are remembered, and for how long.
const (
	maxContacts = 10_000
	contactsFor = time.Hour
	dropAtOnce  = maxContacts / 10
)

// contacts remembers the ids of contacts. The zero value is ready; safe for concurrent
// use.
type contacts struct {
	mu  sync.Mutex
	ids map[contact]remembered
}

type remembered struct {
	id    string
	until time.Time
}

func (c *contacts) get(who contact, now time.Time) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.ids[who]
	return r.id, ok && now.Before(r.until)
}

func (c *contacts) put(who contact, id string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ids == nil {
		c.ids = map[contact]remembered{}
	}
	if len(c.ids) >= maxContacts {
		c.shrink(now)
	}
	c.ids[who] = remembered{id, now.Add(contactsFor)}
}

// shrink drops what is too old, and if that is little, others as they come.
func (c *contacts) shrink(now time.Time) {
	for who, r := range c.ids {
		if !now.Before(r.until) {
			delete(c.ids, who)
		}
	}
	for who := range c.ids {
		if len(c.ids) <= maxContacts-dropAtOnce {
			return
		}
		delete(c.ids, who)
	}
}

func (c *contacts) drop(who contact) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.ids, who)
}
