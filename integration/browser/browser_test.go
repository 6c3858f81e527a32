package browser

import (
	"maps"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// The page in a real browser, with the published analytics.js and with its own script,
// sending to its own origin and to another: each call arrives once, with equal fields.
func TestVisit(t *testing.T) {
	chromium(t)
	bin := build(t)
	for name, c := range map[string]struct {
		script string
		apart  bool
	}{
		"analytics.js":                   {published, false},
		"analytics.js to another origin": {published, true},
		"own script":                     {own, false},
		"own script to another origin":   {own, true},
	} {
		t.Run(name, func(t *testing.T) {
			if c.script == published {
				installed(t)
			}
			server := start(t, bin, c.apart)
			b := newBrowser(t)
			b.do(chromedp.Navigate(server.page+"?script="+c.script), chromedp.WaitVisible("#list li"))
			visitor := b.visitor()
			for n, call := range []string{"identify", "track", "page", "group", "alias"} {
				b.press(call)
				b.await(n + 2)
			}
			b.seePixel()
			b.await(7)
			b.screenshot(strings.ReplaceAll(t.Name(), "/", "-"))

			// A call that has no answer yet when the page is hidden: ours sends it twice.
			b.do(chromedp.Evaluate(`analytics.track("Page Hidden"); dispatchEvent(new Event("pagehide"))`, nil))
			b.await(8)
			if c.script == own {
				b.do(chromedp.Poll(`duplicates.textContent === "1"`, nil))
			}

			// A call of a page that goes, and the page call of the next one. Whatever would
			// come twice has come by then.
			b.leave()
			arrived := b.await(10)
			require.Len(t, arrived, 10)
			require.Equal(t, 10, b.counter("accepted"))
			require.Equal(t, 0, b.counter("discarded"))
			require.Equal(t, visitor, b.visitor(), "the same visitor after the page has come again")

			checkFields(t, arrived, c.script, visitor)
			b.checkPosted(arrived)
			b.checkNetwork(server, c.script, c.apart)
		})
	}
}

// visitor is whom the server took the browser for.
func (b *browser) visitor() string {
	b.t.Helper()
	var id, cookie string
	b.do(
		chromedp.AttributeValue("body", "data-anonymous-id", &id, nil, chromedp.ByQuery),
		chromedp.Evaluate(`document.cookie`, &cookie),
	)
	require.NotEmpty(b.t, id)
	require.Contains(b.t, cookie, "ajs_anonymous_id="+id)
	return id
}

// screenshot keeps the page as it is now where SCREENSHOTS names a folder.
func (b *browser) screenshot(name string) {
	b.t.Helper()
	var image []byte
	b.do(chromedp.FullScreenshot(&image, 100))
	require.NotEmpty(b.t, image)
	if dir := os.Getenv("SCREENSHOTS"); dir != "" {
		require.NoError(b.t, os.WriteFile(dir+"/"+strings.ReplaceAll(name, " ", "-")+".png", image, 0o600))
	}
}

// checkFields compares what arrived with the fields of the page: the same whichever
// script has sent it.
func checkFields(t *testing.T, arrived []message, script, visitor string) {
	t.Helper()
	// The track call of the page that has gone may come behind the page call of the next.
	last := arrived[8:]
	if last[0].text("type") == "page" {
		last[0], last[1] = last[1], last[0]
	}
	want := []message{
		{"type": "page"},
		{"type": "identify", "userId": "u-42", "traits": map[string]any{"name": "Ada", "email": "ada@example.com"}},
		{"type": "track", "userId": "u-42", "event": "Product Added", "properties": map[string]any{"product": "Tent for two", "price": 249.5}},
		{"type": "page", "userId": "u-42", "category": "Shop", "name": "Basket"},
		{"type": "group", "userId": "u-42", "groupId": "g-7", "traits": map[string]any{"name": "Analytical Engines"}},
		{"type": "alias", "userId": "u-43", "previousId": "u-42"},
		{"type": "track", "event": "Pixel Seen", "properties": map[string]any{"place": "page"}},
		{"type": "track", "userId": "u-42", "event": "Page Hidden", "properties": map[string]any{}},
		{"type": "track", "userId": "u-42", "event": "Page Left", "properties": map[string]any{}},
		{"type": "page", "userId": "u-42"},
	}
	if script == published {
		want[5]["userId"] = "u-42" // it puts the user whom it knows in place of that of the call
	}
	seen := map[string]bool{}
	for i, m := range arrived {
		require.False(t, seen[m.text("messageId")], "%v", m)
		seen[m.text("messageId")] = true
		require.Equal(t, visitor, m.text("anonymousId"), "%v", m)
		require.NotEmpty(t, m.text("receivedAt"), "%v", m)
		require.Equal(t, "127.0.0.1", m.text("context", "ip"), "%v", m)
		require.Contains(t, m.text("context", "userAgent"), "Chrome", "%v", m)
		for _, key := range []string{"type", "userId", "event", "category", "name", "groupId", "previousId", "traits", "properties"} {
			switch {
			case key == "properties" && m.text("type") == "page":
				require.Equal(t, "/", m.text("properties", "path"), "%v", m)
				require.Equal(t, "Collector", m.text("properties", "title"), "%v", m)
				require.Equal(t, m.text("name"), m.text("properties", "name"), "%v", m)
			default:
				require.Equal(t, want[i][key], m[key], "%s of %v", key, m)
			}
		}
		if m.text("event") != "Pixel Seen" {
			require.Equal(t, script, m.text("context", "library", "name"), "%v", m)
			require.Equal(t, "Collector", m.text("context", "page", "title"), "%v", m)
		}
	}
}

// checkPosted compares what arrived with what the browser has sent, whole: apart from the
// times and the address, which the server has to add, nothing is changed.
func (b *browser) checkPosted(arrived []message) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range arrived {
		if m.text("event") == "Pixel Seen" {
			continue
		}
		sent := b.posted[m.text("messageId")]
		require.NotNil(b.t, sent, "%v", m)
		require.Equal(b.t, sent.text("timestamp"), m.text("originalTimestamp"), "%v", m)
		got := maps.Clone(m)
		got["context"] = maps.Clone(m["context"].(map[string]any))
		delete(got["context"].(map[string]any), "ip")
		for _, key := range []string{"timestamp", "originalTimestamp", "sentAt", "receivedAt", "writeKey"} {
			delete(sent, key)
			delete(got, key)
		}
		require.Equal(b.t, sent, got)
	}
}

// checkNetwork holds the browser to have asked before it sent to another origin, and to
// have spoken with nobody else.
func (b *browser) checkNetwork(c *collector, script string, apart bool) {
	b.t.Helper()
	asked := b.counter("preflights")
	b.mu.Lock()
	defer b.mu.Unlock()
	want := map[string]bool{}
	for _, address := range []string{c.page, c.events} {
		u, err := url.Parse(address)
		require.NoError(b.t, err)
		want[u.Host] = true
	}
	require.Equal(b.t, want, b.hosts)
	require.Empty(b.t, b.complaints)
	require.Equal(b.t, apart, asked > 0)
	require.Equal(b.t, apart, len(b.preflights) > 0)
	headers := "authorization" // and the body is text
	if script == own {
		headers = "authorization,content-type"
	}
	for _, got := range b.preflights {
		require.Equal(b.t, headers, got)
	}
}
