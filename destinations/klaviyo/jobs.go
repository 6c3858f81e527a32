package klaviyo

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// What is around items in the requests, as JSON:API wants it.
const (
	eventOpening = `{"data":{"type":"event","attributes":`
	eventClosing = `}}`

	eventsOpening = `{"data":{"type":"event-bulk-create-job","attributes":{"events-bulk-create":{"data":[`
	eventsClosing = `]}}}}`

	itemOpening = `{"type":"event-bulk-create","attributes":{"profile":`
	itemMiddle  = `,"events":{"data":[{"type":"event","attributes":`
	itemClosing = `}]}}}`

	itemOverhead = len(itemOpening) + len(itemMiddle) + len(itemClosing)

	profileOpening = `{"type":"profile","attributes":`
	profileClosing = `}`

	profilesOpening = `{"data":{"type":"profile-bulk-import-job","attributes":{"profiles":{"data":[`
	profilesMiddle  = `]}}`
	profilesClosing = `}}`

	listsOpening = `,"relationships":{"lists":{"data":[`
	listsClosing = `]}}`

	// profilesOverhead has room for a list.
	profilesOverhead = len(profilesOpening) + len(profilesMiddle) + len(profilesClosing) + len(listsOpening) + len(listsClosing) + 300
)

// maxSingles is how many profiles are sent one by one, so that the answer for each is
// known.
const maxSingles = 20

// parts are the two halves of an event in a job, which has the profile beside the event
// and not inside.
type parts struct {
	event, profile []byte
	at             time.Time
}

func eventsBody(items []analytics.Item) []byte {
	size := len(eventsOpening) + len(eventsClosing)
	for i := range items {
		size += len(items[i].Body) + itemOverhead + 1
	}
	body := append(make([]byte, 0, size), eventsOpening...)
	for i := range items {
		p := items[i].Data.(parts)
		if i > 0 {
			body = append(body, ',')
		}
		body = append(append(body, itemOpening...), p.profile...)
		body = append(append(body, itemMiddle...), p.event...)
		body = append(body, itemClosing...)
	}
	return append(body, eventsClosing...)
}

// list is the list to which the profiles of a batch are added; they share a group.
type list struct{ id string }

func profilesBody(items []analytics.Item) []byte {
	body := []byte(profilesOpening)
	for i := range items {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(append(append(body, profileOpening...), items[i].Body...), profileClosing...)
	}
	body = append(body, profilesMiddle...)
	if id := items[0].Data.(list).id; id != "" {
		body = append(body, listsOpening...)
		body = appendReference(body, "list", id)
		body = append(body, listsClosing...)
	}
	return append(body, profilesClosing...)
}

// appendReference names a resource.
func appendReference(b []byte, kind, id string) []byte {
	b = append(b, `{"type":"`+kind+`","id":`...)
	return append(dest.AppendText(b, id), '}')
}

// job makes a job of n items. It is refused as a whole, with pointers to the items that
// are at fault.
func (d *Destination) job(ctx context.Context, path string, body []byte, n int) error {
	answer, err := d.post(ctx, path, body)
	if err != nil {
		return err
	}
	switch answer.Status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		if failed := refused(answer, n); failed != nil {
			return failed
		}
	}
	return answer.Err()
}

// problems are the errors of an answer.
type problems struct {
	Errors []struct {
		Code   string `json:"code"`
		Source struct {
			Pointer string `json:"pointer"`
		} `json:"source"`
		Meta struct {
			DuplicateProfileID string `json:"duplicate_profile_id"`
		} `json:"meta"`
	} `json:"errors"`
}

// refused tells the items that are at fault from the others, nil if none is named.
func refused(answer *dest.Answer, n int) error {
	var body problems
	if answer.Decode(&body) != nil {
		return nil
	}
	failed := &analytics.BatchError{}
	for _, e := range body.Errors {
		if i, ok := pointed(e.Source.Pointer); ok && i < n {
			failed.Set(i, analytics.Permanent(answer.Fault(e.Code)))
		}
	}
	if len(failed.Items) == 0 {
		return nil
	}
	for i := range n {
		failed.Set(i, dest.AtOnce(answer.Fault("others_refused")))
	}
	return failed
}

// pointed finds the number of the item in a JSON pointer.
func pointed(pointer string) (int, bool) {
	for _, list := range []string{"/events-bulk-create/data/", "/profiles/data/"} {
		if _, rest, ok := strings.Cut(pointer, list); ok {
			digits, _, _ := strings.Cut(rest, "/")
			i, err := strconv.ParseUint(digits, 10, 31)
			return int(i), err == nil
		}
	}
	return 0, false
}

// profiles sends a few profiles one by one. After one that does not go for reasons that
// are not its own, the others are not tried.
func (d *Destination) profiles(ctx context.Context, b *analytics.Batch) error {
	failed := &analytics.BatchError{}
	for i := range b.Items {
		err := d.profile(ctx, b.Items[i])
		if err == nil {
			continue
		}
		if len(b.Items) == 1 {
			return err
		}
		switch word, _ := analytics.Classify(err); word {
		case analytics.WordPermanent:
			failed.Set(i, err)
		case analytics.WordSplit: // of this one alone
			failed.Set(i, analytics.Permanent(err))
		default:
			for ; i < len(b.Items); i++ {
				failed.Set(i, err)
			}
			return failed
		}
	}
	return failed.OrNil()
}

// profile imports one profile and adds it to its list.
func (d *Destination) profile(ctx context.Context, it analytics.Item) error {
	const path = "/api/profile-import/"
	one := []analytics.Item{it}
	answer, err := d.post(ctx, path, dest.Join(`{"data":`+profileOpening, one, profileClosing+`}`))
	if err != nil {
		return err
	}
	if id := duplicate(answer); id != "" {
		opening := append([]byte(`{"data":{"type":"profile","id":`), dest.AppendText(nil, id)...)
		if answer, err = d.post(ctx, path, dest.Join(string(opening)+`,"attributes":`, one, `}}`)); err != nil {
			return err
		}
	}
	if err := answer.Err(); err != nil {
		return err
	}
	return d.addToList(ctx, answer, it.Data.(list).id)
}

// duplicate is the id of the profile that there is already.
func duplicate(answer *dest.Answer) string {
	var body problems
	if answer.Status != http.StatusConflict || answer.Decode(&body) != nil || len(body.Errors) == 0 {
		return ""
	}
	return body.Errors[0].Meta.DuplicateProfileID
}

func (d *Destination) addToList(ctx context.Context, answer *dest.Answer, listID string) error {
	if listID == "" {
		return nil
	}
	var body struct {
		Data struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := answer.Decode(&body); err != nil {
		return err
	}
	request := append(appendReference([]byte(`{"data":[`), "profile", body.Data.ID), `]}`...)
	answer, err := d.post(ctx, "/api/lists/"+url.PathEscape(listID)+"/relationships/profiles/", request)
	if err != nil {
		return err
	}
	return answer.Err()
}
