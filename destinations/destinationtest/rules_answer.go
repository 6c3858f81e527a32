package destinationtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
)

func answerRules() []rule {
	return []rule{
		{
			name:     "answer-words",
			sentence: "A status becomes the word of the contract's table (analytics.ResponseError), unless Setup.Words gives a reason for another.",
			needs:    needItems | needHTTP,
			test:     testWords,
		},
		{
			name:     "answer-retry-after",
			sentence: "A Retry-After, in seconds or as a date, is passed on: with 423 and 429 as RetryAfter, with 503 as the least wait of a plain error.",
			needs:    needItems | needHTTP,
			test:     testRetryAfter,
		},
		{
			name:     "answer-redirect",
			sentence: "Redirects are not followed: a redirected POST loses its body, and its key goes to a stranger.",
			needs:    needItems | needHTTP,
			test:     testRedirect,
		},
		{
			name:     "answer-closed",
			sentence: "Every response body is closed when Deliver returns, whatever the answer.",
			needs:    needItems | needHTTP,
			test:     testClosed,
		},
		{
			name:     "answer-huge",
			sentence: "A response body without end costs bounded memory: at most 8 MiB of it are read.",
			needs:    needItems | needHTTP,
			test:     testHuge,
		},
		{
			name:     "answer-slow",
			sentence: "A response body that never ends does not hold Deliver beyond its ctx.",
			needs:    needItems | needHTTP | needFakeTime,
			test:     testSlow,
		},
		{
			name:     "answer-garbage",
			sentence: "An answer of success whose body is empty, cut off or something else does not make Deliver panic.",
			needs:    needItems | needHTTP,
			test:     testGarbage,
		},
	}
}

// words is the contract's table, for a batch of more than one.
var words = map[int]analytics.Word{
	200: analytics.WordDelivered, 201: analytics.WordDelivered, 202: analytics.WordDelivered, 204: analytics.WordDelivered,
	301: analytics.WordPermanent, 302: analytics.WordPermanent, 304: analytics.WordPermanent, 307: analytics.WordPermanent, 308: analytics.WordPermanent,
	400: analytics.WordSplit, 413: analytics.WordSplit, 422: analytics.WordSplit,
	401: analytics.WordUnauthorized, 403: analytics.WordUnauthorized, 407: analytics.WordUnauthorized, 511: analytics.WordUnauthorized,
	402: analytics.WordPermanent, 404: analytics.WordPermanent, 405: analytics.WordPermanent, 406: analytics.WordPermanent, 409: analytics.WordPermanent,
	410: analytics.WordPermanent, 415: analytics.WordPermanent, 418: analytics.WordPermanent, 451: analytics.WordPermanent,
	501: analytics.WordPermanent, 505: analytics.WordPermanent,
	408: analytics.WordAgain, 425: analytics.WordAgain, 500: analytics.WordAgain, 502: analytics.WordAgain, 503: analytics.WordAgain,
	504: analytics.WordAgain, 520: analytics.WordAgain, 529: analytics.WordAgain,
	423: analytics.WordRetryAfter, 429: analytics.WordRetryAfter,
}

func testWords(t *trial) {
	table := maps.Clone(words)
	for code, x := range t.setup.Words {
		table[code] = x.Word
	}
	t.eachLane(func(d *instance, b *analytics.Batch) {
		one := *b
		one.Items = b.Items[:1]
		for _, code := range slices.Sorted(maps.Keys(table)) {
			for _, b := range []*analytics.Batch{b, &one} {
				t.svc.script(func(r *Request) reply { return t.answer(code, r) })
				err, ok := d.deliver(b)
				if !ok {
					return
				}
				want := []analytics.Word{table[code]}
				if len(b.Items) == 1 && table[code] == analytics.WordSplit {
					want = append(want, analytics.WordPermanent)
				}
				if wrong := wrongWord(err, b, want...); wrong != "" {
					t.errorf("%s: status %d, Deliver says %s", describe(b), code, wrong)
				}
			}
		}
	})
}

// answer is the reply with that status: of success with the tool's usual body.
func (t *trial) answer(code int, r *Request) reply {
	rep := status(code)
	switch {
	case code == http.StatusNoContent:
		rep.Body = ""
	case code < 300:
		rep.Response = t.svc.answer(r)
		rep.Status = code
	case code < 400:
		rep.Header = http.Header{"Location": {t.svc.URL() + "/elsewhere"}}
	}
	return rep
}

func testRetryAfter(t *trial) {
	const wait = 120 * time.Second
	t.eachLane(func(d *instance, b *analytics.Batch) {
		for _, code := range []int{423, 429, 503} {
			if _, own := t.setup.Words[code]; own {
				continue
			}
			for _, header := range []string{"120", time.Now().Add(wait).UTC().Format(http.TimeFormat)} {
				t.svc.script(func(*Request) reply {
					rep := status(code)
					rep.Header = http.Header{"Retry-After": {header}}
					return rep
				})
				err, ok := d.deliver(b)
				if !ok {
					return
				}
				got := waits(err, b)
				if got < wait-2*time.Second || got > wait+2*time.Second {
					t.errorf("%s: status %d with Retry-After %q, Deliver says to wait %v", describe(b), code, header, got)
				}
			}
		}
	})
}

// waits is the wait that an answer asks for: the shortest of its items.
func waits(err error, b *analytics.Batch) time.Duration {
	var each *analytics.BatchError
	if !errors.As(err, &each) {
		_, after := analytics.Classify(err)
		return after
	}
	var least time.Duration
	for i := range b.Items {
		if _, after := analytics.Classify(each.Items[i]); i == 0 || after < least {
			least = after
		}
	}
	return least
}

func testRedirect(t *trial) {
	const elsewhere = "elsewhere.test"
	t.eachLane(func(d *instance, b *analytics.Batch) {
		for _, code := range []int{301, 302, 303, 307, 308} {
			t.svc.script(func(r *Request) reply {
				if r.URL.Host == elsewhere {
					return status(200)
				}
				rep := status(code)
				rep.Header = http.Header{"Location": {"https://" + elsewhere + "/"}}
				return rep
			})
			if _, ok := d.deliver(b); !ok {
				return
			}
			for _, r := range t.svc.received() {
				if r.URL.Host == elsewhere {
					t.errorf("%s: status %d was followed", describe(b), code)
				}
			}
		}
	})
}

func testClosed(t *trial) {
	t.eachLane(func(d *instance, b *analytics.Batch) {
		for _, code := range []int{200, 202, 302, 400, 401, 404, 413, 429, 500, 503} {
			t.svc.script(func(r *Request) reply { return t.answer(code, r) })
			before, _ := t.svc.bodies()
			if _, ok := d.deliver(b); !ok {
				return
			}
			if open, _ := t.svc.bodies(); open > before {
				t.errorf("%s: status %d leaves %d bodies open", describe(b), code, open-before)
			}
		}
	})
}

func testHuge(t *trial) {
	const all, most = 24 << 20, 8 << 20
	t.eachLane(func(d *instance, b *analytics.Batch) {
		for _, code := range []int{200, 400, 500} {
			t.svc.script(func(*Request) reply {
				rep := status(code)
				rep.body = io.LimitReader(blanks{}, all)
				return rep
			})
			if _, ok := d.deliver(b); !ok {
				return
			}
			if _, read := t.svc.bodies(); read > int64(most*len(t.svc.received())) {
				t.errorf("%s: status %d, %d bytes of the body were read", describe(b), code, read)
			}
		}
	})
}

// blanks is an endless body.
type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func testSlow(t *trial) {
	const limit = 10 * time.Second
	t.eachLane(func(d *instance, b *analytics.Batch) {
		for _, code := range []int{200, 400, 500} {
			t.svc.script(func(r *Request) reply {
				rep := t.answer(code, r)
				rep.stall = true
				return rep
			})
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			start := time.Now()
			_, ok := d.deliverCtx(ctx, copyOf(b))
			cancel()
			if !ok {
				return
			}
			if late := time.Since(start) - limit; late > grace {
				t.errorf("%s: status %d, Deliver returned %v after the end of its ctx", describe(b), code, late)
			}
		}
	})
}

func testGarbage(t *trial) {
	bodies := []string{
		"", " ", "{", "[", "null", "true", "0", `"text"`, "[]", "{}", "[null]", "[{}]", "<html></html>", "\xff\xfe\x00", "ok", "1e999",
		`{"errors":"text"}`, `{"errors":null}`, `{"errors":[null]}`, `{"errors":[{"index":-1}]}`, `{"errors":[{"index":999999}]}`,
		`{"error":{}}`, `{"status":7}`, `{"results":{}}`, strings.Repeat("[", 20_000),
	}
	t.eachLane(func(d *instance, b *analytics.Batch) {
		for _, code := range []int{200, 207} {
			for _, body := range bodies {
				t.svc.script(failWith(reply{Response: Response{Status: code, Body: body}}))
				if _, ok := d.deliver(b); !ok {
					return
				}
			}
			t.svc.script(func(r *Request) reply {
				rep := t.answer(code, r)
				rep.body = io.MultiReader(strings.NewReader(rep.Body[:len(rep.Body)/2]), broken{})
				return rep
			})
			if _, ok := d.deliver(b); !ok {
				return
			}
		}
	})
}

// broken is the end of a body whose connection broke.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, fmt.Errorf("body: %w", io.ErrUnexpectedEOF) }
