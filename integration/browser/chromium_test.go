package browser

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// patience is for one visit, with a browser that starts cold on a busy machine.
const patience = 2 * time.Minute

// browser is a fresh one, with a profile of its own, and what it did.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	preflights []string           // the headers that were asked for
	posted     map[string]message // single calls, by messageId
	hosts      map[string]bool
	complaints []string // of scripts that failed
}

// chromium is where the browser is. Without one the test is skipped, but not where it was
// asked for.
func chromium(t *testing.T) string {
	t.Helper()
	if os.Getenv("ANALYTICS_INTEGRATION") != "1" {
		t.Skip("set ANALYTICS_INTEGRATION=1 to run it")
	}
	path, err := exec.LookPath("chromium")
	require.NoError(t, err, "the package chromium of Debian has it")
	return path
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.WindowSize(1280, 1100))...)
	t.Cleanup(cancel)
	// Silent about events of a newer browser than the driver knows.
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx, posted: map[string]message{}, hosts: map[string]bool{}}
	chromedp.ListenTarget(ctx, b.note)
	b.do(network.Enable())
	return b
}

func (b *browser) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err == nil && u.Host != "" {
			b.hosts[u.Host] = true
		}
		if e.Request.Method == http.MethodOptions {
			b.preflights = append(b.preflights, fmt.Sprint(e.Request.Headers["Access-Control-Request-Headers"]))
		}
		b.keep(e.Request)
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Error())
	}
}

// keep remembers the message that a request has, if any: a beacon's body is not told.
func (b *browser) keep(r *network.Request) {
	for _, part := range r.PostDataEntries {
		var m message
		body, err := base64.StdEncoding.DecodeString(part.Bytes)
		if err == nil && json.Unmarshal(body, &m) == nil {
			b.posted[m.text("messageId")] = m
		}
	}
}

func (b *browser) do(actions ...chromedp.Action) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Run(b.ctx, actions...))
}

// press submits a form of the page as a visitor does.
func (b *browser) press(call string) {
	b.t.Helper()
	b.do(chromedp.Click(fmt.Sprintf(`form[data-call=%s] button`, call), chromedp.ByQuery))
}

func (b *browser) seePixel() {
	b.t.Helper()
	b.do(chromedp.Click(`button[value=pixel]`, chromedp.ByQuery))
}

// leave presses the button that tracks and loads the page again, which it waits for.
func (b *browser) leave() {
	b.t.Helper()
	_, err := chromedp.RunResponse(b.ctx, chromedp.Click(`button[value=leave]`, chromedp.ByQuery))
	require.NoError(b.t, err)
}

// await waits until the page shows so many messages and the handler has counted them, and
// returns them, the first first.
func (b *browser) await(n int) []message {
	b.t.Helper()
	var texts []string
	b.do(
		chromedp.Poll(fmt.Sprintf(`Math.min(list.children.length, accepted.textContent) >= %d`, n), nil, chromedp.WithPollingTimeout(30*time.Second)),
		chromedp.Evaluate(`[...document.querySelectorAll("#list pre")].map(e => e.textContent).reverse()`, &texts),
	)
	list := make([]message, len(texts))
	for i, text := range texts {
		require.NoError(b.t, json.Unmarshal([]byte(text), &list[i]))
	}
	return list
}

// counter is one of those on the page.
func (b *browser) counter(id string) int {
	b.t.Helper()
	var text string
	b.do(chromedp.Text("#"+id, &text, chromedp.ByQuery))
	n, err := strconv.Atoi(text)
	require.NoError(b.t, err)
	return n
}

// message is one as it arrived.
type message map[string]any

func (m message) text(path ...string) string {
	var v any = map[string]any(m)
	for _, key := range path {
		object, _ := v.(map[string]any)
		v = object[key]
	}
	s, _ := v.(string)
	return s
}
