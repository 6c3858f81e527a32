package trackingapi_test

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/sources/trackingapi"
)

// While a call waits for room, its messageId is claimed: the sender's next try would be
// told that the message is there, and then it is not.
func TestAFullQueueIsSaidAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, small, func(_ *trackingapi.Config, c *analytics.Config) { c.WhenFull = analytics.Block })
		f.sink.hold()
		for err := error(nil); err == nil; {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			err = f.client.Track(ctx, analytics.Track{UserID: "u", Event: "E"})
			cancel()
		}
		for range 2 {
			f.tooMany(f.post("/v1/track", `{"messageId":"m-1","event":"E","userId":"u"}`))
		}
	})
}

// What a batch says for all of its messages holds for them or they do not get in.
func TestABatchWhoseContextCannotBeReadIsRefused(t *testing.T) {
	f := newFixture(t)
	deep := strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000)
	answer := f.post("/v1/batch", `{"context":`+deep+`,"integrations":{"All":false},"batch":[{"type":"track","messageId":"m","event":"E","userId":"u"}]}`)
	f.refused(answer, http.StatusBadRequest, "bad_request")
	require.Empty(t, f.ids())
}

type brokenTokens struct{}

func (brokenTokens) Verify(context.Context, string) ([]string, error) {
	return nil, errors.New("the key server is down")
}

func TestTokensThatCannotBeCheckedAreAskedForAgain(t *testing.T) {
	f := newFixture(t, func(cfg *trackingapi.Config, _ *analytics.Config) { cfg.Tokens = brokenTokens{} })
	answer := f.do(call{
		method: http.MethodPost, path: "/v1/track", header: http.Header{"Authorization": {"Bearer x"}},
		body: strings.NewReader(`{"writeKey":"` + fixtureKey + `","messageId":"m","event":"E","userId":"u"}`),
	})
	require.Equal(t, http.StatusServiceUnavailable, answer.status)
	wait(t, answer)
}

func TestEventsOfLinksDoNotHoldTheWriteKey(t *testing.T) {
	f := newFixture(t, func(cfg *trackingapi.Config, _ *analytics.Config) {
		cfg.Links = &trackingapi.Querystring{Event: regexp.MustCompile(".*"), UserID: regexp.MustCompile(".*")}
	})
	answer := f.do(call{method: http.MethodGet, path: "/landing?writeKey=" + fixtureKey + "&ajs_uid=u-1&ajs_event=Clicked&a=b"})
	require.Equal(t, http.StatusNoContent, answer.status)
	raw := f.raw()
	require.NotEmpty(t, raw)
	for _, m := range raw {
		require.NotContains(t, m, fixtureKey)
		require.Contains(t, m, "a=b")
	}
}

func TestPixelsOfNoTypeAreNotFound(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/v1/pixel/nonsense", "/v1/pixel/t"} {
		require.Equal(t, http.StatusNotFound, f.do(call{method: http.MethodGet, path: path}).status)
	}
}
