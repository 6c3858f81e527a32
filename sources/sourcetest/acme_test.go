package sourcetest_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/sources/sourcetest"
)

const acmeSecret = "acme-signing-secret"

// acme is a small source as it should be: a webhook that brings notes. Each of its
// funcs is a part that a test can replace.
type acme struct {
	client *analytics.Client
	log    *slog.Logger

	timeout time.Duration // for a body, 0 for none
	before  func(a *acme, w http.ResponseWriter, r *http.Request) (done bool)
	read    func(r io.Reader) ([]byte, error)
	verify  func(r *http.Request, wire []byte) bool
	decode  func(body []byte) ([]note, error)
	send    func(a *acme, ns []note) error
	failed  func(w http.ResponseWriter, err error)
}

type note struct{ ID, User, Text string }

func newAcme(t testing.TB, client *analytics.Client) *acme {
	return &acme{
		client: client, log: slog.New(slog.NewTextHandler(t.Output(), nil)), timeout: 30 * time.Second,
		before: func(*acme, http.ResponseWriter, *http.Request) bool { return false },
		read:   readBounded, verify: verify, decode: decodeNotes, send: (*acme).sendAll, failed: answerFailure,
	}
}

func (a *acme) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.before(a, w, r) {
		return
	}
	if r.URL.Path != "/hook" {
		http.Error(w, "no such path", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "only POST", http.StatusMethodNotAllowed)
		return
	}
	if a.timeout > 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(a.timeout))
	}
	wire, err := a.read(r.Body)
	if err != nil {
		http.Error(w, "the body cannot be read", http.StatusBadRequest)
		return
	}
	if !a.verify(r, wire) {
		http.Error(w, "the signature is wrong", http.StatusUnauthorized)
		return
	}
	notes, err := a.notes(r, wire)
	if err != nil {
		http.Error(w, "the body is not JSON", http.StatusBadRequest)
		return
	}
	if err := a.send(a, notes); err != nil {
		a.log.Warn("notes were not taken", "error", err)
		a.failed(w, err)
	}
}

func (a *acme) notes(r *http.Request, wire []byte) ([]note, error) {
	switch r.Header.Get("Content-Encoding") {
	case "":
		return a.decode(wire)
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(wire))
		if err != nil {
			return nil, err
		}
		body, err := a.read(z)
		if err != nil {
			return nil, err
		}
		return a.decode(body)
	}
	return nil, errors.ErrUnsupported
}

const acmeLimit = 256 << 10

func readBounded(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, acmeLimit+1))
	if err == nil && len(b) > acmeLimit {
		err = errors.New("too much")
	}
	return b, err
}

func signature(body []byte) string {
	mac := hmac.New(sha256.New, []byte(acmeSecret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

func verify(r *http.Request, wire []byte) bool {
	return hmac.Equal([]byte(r.Header.Get("Acme-Signature")), []byte(signature(wire)))
}

func decodeNotes(body []byte) (notes []note, err error) {
	return notes, json.Unmarshal(body, &notes)
}

func (a *acme) sendAll(notes []note) error {
	for _, n := range notes {
		if err := a.sendOne(n); err != nil {
			return err
		}
	}
	return nil
}

func (a *acme) sendOne(n note) error {
	message, err := json.Marshal(map[string]any{
		"type": "track", "event": "Note Written", "messageId": n.ID, "userId": n.User, "properties": map[string]any{"text": n.Text, "words": 2},
	})
	if err != nil {
		return err
	}
	err = a.client.EnqueueJSON(context.Background(), message, nil)
	if inv := (*analytics.InvalidError)(nil); errors.As(err, &inv) {
		return nil
	}
	return err
}

func answerFailure(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", "5")
	switch {
	case errors.Is(err, analytics.ErrQueueFull):
		http.Error(w, "full", http.StatusTooManyRequests)
	default:
		http.Error(w, "closing", http.StatusServiceUnavailable)
	}
}

// acmeSetup tests acme with parts of it replaced.
func acmeSetup(edit func(*acme)) sourcetest.Setup {
	return sourcetest.Setup{
		New: func(t testing.TB, client *analytics.Client) http.Handler {
			a := newAcme(t, client)
			if edit != nil {
				edit(a)
			}
			return a
		},
		Requests: []sourcetest.Recorded{
			{
				Name: "three notes", Path: "/hook?v=1", Header: http.Header{"Content-Type": {"application/json"}},
				Body: notesJSON("n-1", "n-2", "n-3"), Messages: noteMessages("n-1", "n-2", "n-3"),
			},
			{Name: "compressed", Path: "/hook", Gzip: true, Body: notesJSON("n-4"), Messages: noteMessages("n-4")},
			{Name: "none", Path: "/hook", Body: []byte("[]")},
			{Name: "no notes", Path: "/hook", Body: []byte("notes"), Status: http.StatusBadRequest},
			{Name: "without an id", Path: "/hook", Body: notesJSON(""), Messages: noteMessages(sourcetest.Any), Fresh: true},
		},
		Sign:    sign,
		Secrets: []string{acmeSecret},
	}
}

func sign(r *http.Request) {
	body, err := r.GetBody()
	if err != nil {
		panic(err)
	}
	mac := hmac.New(sha256.New, []byte(acmeSecret))
	_, _ = io.Copy(mac, body)
	r.Header.Set("Acme-Signature", hex.EncodeToString(mac.Sum(nil)))
}

func notesJSON(ids ...string) []byte {
	var notes []note
	for _, id := range ids {
		notes = append(notes, note{ID: id, User: "user-" + cmp.Or(id, "x"), Text: "a secret recipe"})
	}
	b, err := json.Marshal(notes)
	if err != nil {
		panic(err)
	}
	return b
}

func noteMessages(ids ...string) (messages []json.RawMessage) {
	for _, id := range ids {
		user := "user-" + id
		if id == sourcetest.Any {
			user = "user-x"
		}
		m, err := json.Marshal(map[string]any{
			"type": "track", "event": "Note Written", "messageId": id, "userId": user, "properties": map[string]any{"text": "a secret recipe", "words": 2},
			"timestamp": "2000-01-01T00:00:00.000Z", "receivedAt": "2000-01-01T00:00:00.000Z",
		})
		if err != nil {
			panic(err)
		}
		messages = append(messages, m)
	}
	return messages
}
