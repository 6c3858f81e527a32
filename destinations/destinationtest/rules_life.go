package destinationtest

import (
	"context"
	"errors"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/tributary-dev/analytics"
)

const ruleNoGoroutine = "goroutines"

func lifeRules() []rule {
	return []rule{
		{
			name:     "close",
			sentence: "Close returns within 100 ms of the end of its ctx, also if the tool never answers, and may be called twice.",
			needs:    needCloser,
			test:     testClose,
		},
		{
			name:     ruleNoGoroutine,
			sentence: "Deliver starts no goroutine that outlives it, and Close ends those that Open started.",
			needs:    needItems | needFakeTime,
			test:     testGoroutines,
		},
	}
}

func testClose(t *trial) {
	const limit = 5 * time.Second
	slack := grace
	if !t.fake {
		slack = 2 * time.Second
	}
	for _, c := range []struct {
		what  string
		limit time.Duration
		reply func(*Request) reply
	}{
		{"when all is well", limit, nil},
		{"when the tool never answers", limit, failWith(reply{hang: true})},
		{"with a ctx that is done", 0, failWith(reply{hang: true})},
	} {
		t.withOpen(func(d *instance) {
			t.opened = slices.DeleteFunc(t.opened, func(o *instance) bool { return o == d })
			t.svc.script(nil)
			if batches := d.batches(d.supported(t.samples())); len(batches) > 0 {
				_, _ = d.deliver(batches[0])
			}
			t.svc.script(c.reply)
			closer := find[analytics.Closer](d.Destination)
			for _, which := range []string{"Close", "a second Close"} {
				ctx, cancel := context.WithTimeout(context.Background(), c.limit)
				start := time.Now()
				returned := t.await(t.patience(), func() {
					if err := protect(func() error { return closer.Close(ctx) }); errors.Is(err, errPanic) {
						t.errorf("%s, %s, panicked: %v", which, c.what, err)
					}
				})
				cancel()
				late := time.Since(start) - c.limit
				switch {
				case !returned:
					t.errorf("%s, %s, did not return", which, c.what)
				case late > slack:
					t.errorf("%s, %s, returned %v after the end of its ctx", which, c.what, late)
				}
			}
		})
	}
}

func testGoroutines(t *trial) {
	before := goroutines()
	t.eachLane(func(d *instance, b *analytics.Batch) {
		for _, f := range []func(*Request) reply{nil, failWith(t.failure()), failWith(reply{hang: true})} {
			t.svc.script(f)
			if _, ok := d.deliver(b); !ok {
				return
			}
		}
	})
	t.close()
	time.Sleep(time.Second) // what is ending may end
	synctest.Wait()
	for id, stack := range goroutines() {
		if _, ok := before[id]; !ok {
			t.errorf("left behind: %s", stack)
		}
	}
}

var goroutineHeader = regexp.MustCompile(`^goroutine (\d+) .*synctest bubble (\d+)`)

// goroutines returns the stacks of this bubble by their numbers. It is empty if the
// runtime writes stacks in another way than it does today; then the end of the
// bubble still tells that something was left.
func goroutines() map[string]string {
	buf := make([]byte, 1<<20)
	n := runtime.Stack(buf, true)
	for n == len(buf) && n < 64<<20 { // it is cut off: other tests have goroutines, too
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	stacks := strings.Split(string(buf[:n]), "\n\n")
	own := goroutineHeader.FindStringSubmatch(stacks[0])
	byID := map[string]string{}
	for _, s := range stacks {
		if m := goroutineHeader.FindStringSubmatch(s); m != nil && own != nil && m[2] == own[2] {
			byID[m[1]] = s
		}
	}
	return byID
}
