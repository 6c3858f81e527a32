package analyticstest_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/analyticstest"
)

func TestServerKnowsThePaths(t *testing.T) {
	single := map[string]string{
		"identify": `"userId":"u"`, "track": `"userId":"u","event":"e"`, "page": `"userId":"u"`,
		"screen": `"userId":"u"`, "group": `"userId":"u","groupId":"g"`, "alias": `"userId":"u","previousId":"p"`,
	}
	for kind, fields := range single {
		for _, path := range []string{"/v1/" + kind, "/v1/" + kind[:1]} {
			t.Run(path, func(t *testing.T) {
				srv := analyticstest.NewServer()
				body := `{"messageId":"m",` + serverStamp + `,` + serverSentAt + `,` + fields + `}`
				status, answer := serverPost(t, srv, body, serverPath(path))
				require.Equal(t, 200, status)
				require.JSONEq(t, `{"success":true}`, answer)
				require.Equal(t, 1, srv.Accepted())
				require.Empty(t, srv.Rejected())
				require.Empty(t, srv.Violations())
			})
		}
	}
	for _, path := range []string{"/v1/batch", "/v1/b", "/v1/import"} {
		t.Run(path, func(t *testing.T) {
			srv := analyticstest.NewServer()
			status, _ := serverPost(t, srv, serverBatch(serverTrack("m")), serverPath(path))
			require.Equal(t, 200, status)
			require.Equal(t, 1, srv.Accepted())
		})
	}
}

func TestServerKnowsTheProxyPrefix(t *testing.T) {
	srv := analyticstest.NewServer()
	srv.SetRules(analyticstest.Rules{Prefix: "/proxy/"})
	for path, want := range map[string]int{"/proxy/v1/batch": 200, "/v1/batch": 404, "/proxy/v1": 404} {
		status, _ := serverPost(t, srv, serverBatch(serverTrack("m")), serverPath(path))
		require.Equal(t, want, status, path)
	}
}

func TestServerRefusesRequests(t *testing.T) {
	good := serverBatch(serverTrack("m"))
	padded := func(n int) string { return good + strings.Repeat(" ", n-len(good)) }
	long := func(n int) string { // a message of n bytes
		m := serverTrack("m")
		return strings.Replace(m, "Order Completed", strings.Repeat("e", n-len(m)+len("Order Completed")), 1)
	}
	get := func(r *http.Request) { r.Method = http.MethodGet }
	tests := []struct {
		name    string
		body    string
		edit    func(*http.Request)
		want    int
		message string
	}{
		{"unknown path", good, serverPath("/v1/batch/"), 404, "no such path"},
		{"GET", good, get, 405, "method not allowed"},
		{"text/plain passes", good, serverHeader("Content-Type", "text/plain"), 200, ""},
		{"charset passes", good, serverHeader("Content-Type", "application/json; charset=utf-8"), 200, ""},
		{"no content type", good, serverHeader("Content-Type", ""), 400, "unsupported content type"},
		{"form", good, serverHeader("Content-Type", "application/x-www-form-urlencoded"), 400, "unsupported content type"},
		{"gzip passes", serverGzip(t, good), serverHeader("Content-Encoding", "gzip"), 200, ""},
		{"gzip that is none", good, serverHeader("Content-Encoding", "gzip"), 400, "malformed JSON"},
		{"gzip cut short", serverGzip(t, good)[:60], serverHeader("Content-Encoding", "gzip"), 400, "malformed JSON"},
		{"zstd", good, serverHeader("Content-Encoding", "zstd"), 400, "unsupported content encoding"},
		{"empty body", "", nil, 400, "malformed JSON"},
		{"cut short", good[:len(good)-1], nil, 400, "malformed JSON"},
		{"trailing text", good + "x", nil, 400, "malformed JSON"},
		{"array", "[" + serverTrack("m") + "]", nil, 400, "malformed JSON"},
		{"batch is an object", `{"batch":{}}`, nil, 400, "malformed JSON"},
		{"500,000 bytes pass", padded(500_000), nil, 200, ""},
		{"500,001 bytes", padded(500_001), nil, 400, "body too large"},
		{"gzip of 500,001 bytes", serverGzip(t, padded(500_001)), serverHeader("Content-Encoding", "gzip"), 400, "body too large"},
		{"gzip bomb", serverGzip(t, strings.Repeat(" ", 20<<20)), serverHeader("Content-Encoding", "gzip"), 400, "body too large"},
		{"20 MB", strings.Repeat(" ", 20<<20), nil, 400, "body too large"},
		{"message of 32 KB passes", serverBatch(long(32_768)), nil, 200, ""},
		{"message above 32 KB", serverBatch(serverTrack("a"), long(32_769)), nil, 400, "message 1 too large"},
		{"single of 32 KB passes", long(32_768), serverPath("/v1/track"), 200, ""},
		{"single above 32 KB", long(32_769), serverPath("/v1/track"), 400, "body too large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := analyticstest.NewServer()
			var edits []func(*http.Request)
			if tt.edit != nil {
				edits = append(edits, tt.edit)
			}
			status, answer := serverPost(t, srv, tt.body, edits...)
			require.Equal(t, tt.want, status)
			if tt.want == 200 {
				require.Equal(t, 1, srv.Accepted())
				return
			}
			require.JSONEq(t, `{"success":false,"message":"`+tt.message+`","code":"invalid_request"}`, answer)
			require.Zero(t, srv.Accepted())
			require.Equal(t, "bad_request", srv.Log()[0].Code)
			require.LessOrEqual(t, len(srv.Log()[0].Body), 500_001, "no more than the limit is kept")
			require.LessOrEqual(t, srv.Log()[0].WireBytes, int64(8<<20), "no more than the bound is read")
		})
	}
}

func TestServerChecksCredentials(t *testing.T) {
	basic := func(plain string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(plain)) }
	keyed := func(key string) string { return `{"writeKey":` + key + `,` + serverBatch(serverTrack("m"))[1:] }
	bare := serverBatch(serverTrack("m"))
	only := analyticstest.Rules{WriteKeys: []string{"key", "other"}}
	tokens := analyticstest.Rules{OAuth: analyticstest.OAuthRules{Tokens: []string{"tok"}, Required: true}}
	tests := []struct {
		name   string
		rules  analyticstest.Rules
		header string
		body   string
		want   int
	}{
		{"key with colon", only, basic("key:"), bare, 200},
		{"key without colon", only, basic("key"), bare, 200},
		{"lower-case scheme", only, strings.ToLower("Basic") + basic("key:")[5:], bare, 200},
		{"key in body", only, "", keyed(`"key"`), 200},
		{"key in both", only, basic("key:"), keyed(`"key"`), 200},
		{"key by default any", analyticstest.Rules{}, basic("whatever:"), bare, 200},
		{"no key", analyticstest.Rules{}, "", bare, 401},
		{"empty key", analyticstest.Rules{}, basic(":"), keyed(`""`), 401},
		{"key is no string", analyticstest.Rules{}, "", keyed(`7`), 401},
		{"unknown key", only, basic("nope:"), bare, 401},
		{"unknown key in body", only, basic("key:"), keyed(`"nope"`), 401},
		{"no base64", only, "Basic key", bare, 401},
		{"unknown scheme", only, "Digest key", keyed(`"key"`), 401},
		{"token and key", tokens, "Bearer tok", keyed(`"key"`), 200},
		{"token without key", tokens, "Bearer tok", bare, 401},
		{"unknown token", tokens, "Bearer nope", keyed(`"key"`), 401},
		{"empty token", tokens, "Bearer ", keyed(`"key"`), 401},
		{"token required", tokens, basic("key:"), keyed(`"key"`), 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := analyticstest.NewServer()
			srv.SetRules(tt.rules)
			status, _ := serverPost(t, srv, tt.body, serverHeader("Authorization", tt.header))
			require.Equal(t, tt.want, status)
			if tt.want == 401 {
				require.Equal(t, "unknown_source", srv.Log()[0].Code)
				require.Zero(t, srv.Accepted())
			}
		})
	}
}

func TestServerRejectsMessages(t *testing.T) {
	consent := func(context string) string {
		return `{"type":"track","userId":"u","event":"Segment Consent Preference Updated","context":` + context + `}`
	}
	tests := []struct{ name, message, code string }{
		{"flawless", `{"type":"track","userId":"u","event":"e"}`, ""},
		{"anonymous", `{"type":"page","userId":null,"anonymousId":"a","name":null,"properties":null}`, ""},
		{"no object", `7`, "bad_request"},
		{"no type", `{"userId":"u"}`, "bad_request"},
		{"unknown type", `{"type":"Track","userId":"u","event":"e"}`, "bad_request"},
		{"no id", `{"type":"identify"}`, "no_user_anon_id"},
		{"null ids", `{"type":"identify","userId":null,"anonymousId":null}`, "no_user_anon_id"},
		{"names are case-sensitive", `{"type":"identify","userID":"u"}`, "no_user_anon_id"},
		{"empty userId", `{"type":"identify","userId":"","anonymousId":"a"}`, "id_not_string"},
		{"numeric anonymousId", `{"type":"identify","userId":"u","anonymousId":7}`, "id_not_string"},
		{"no event", `{"type":"track","userId":"u"}`, "event_not_defined"},
		{"empty event", `{"type":"track","userId":"u","event":""}`, "event_not_defined"},
		{"numeric event", `{"type":"track","userId":"u","event":7}`, "event_not_string"},
		{"last of equal names counts", `{"type":"track","userId":"u","event":7,"event":"e"}`, ""},
		{"properties list", `{"type":"track","userId":"u","event":"e","properties":[]}`, "properties_not_object"},
		{"traits string", `{"type":"identify","userId":"u","traits":"x"}`, "traits_not_object"},
		{"context string", `{"type":"identify","userId":"u","context":"x"}`, "bad_request"},
		{"integrations bool", `{"type":"identify","userId":"u","integrations":true}`, "bad_request"},
		{"empty page name", `{"type":"page","userId":"u","name":""}`, "name_not_string"},
		{"numeric screen category", `{"type":"screen","userId":"u","category":1}`, "category_not_string"},
		{"name of a track is free", `{"type":"track","userId":"u","event":"e","name":1}`, ""},
		{"group without groupId", `{"type":"group","userId":"u"}`, "id_required"},
		{"numeric groupId", `{"type":"group","userId":"u","groupId":7}`, "id_not_string"},
		{"alias without userId", `{"type":"alias","anonymousId":"a","previousId":"p"}`, "id_required"},
		{"empty previousId", `{"type":"alias","userId":"u","previousId":""}`, "id_not_string"},
		{"consent", consent(`{"consent":{"categoryPreferences":{"a":true},"version":2},"device":{"advertisingId":"x"}}`), ""},
		{"consent missing", consent(`{"consent":{}}`), "consent_categorypreferences_should_exist"},
		{"consent list", consent(`{"consent":{"categoryPreferences":[]}}`), "consent_categorypreferences_fields_should_be_object"},
		{"consent strings", consent(`{"consent":{"categoryPreferences":{"a":"yes"}}}`), "consent_categorypreferences_fields_should_be_bool"},
		{"consent version", consent(`{"consent":{"categoryPreferences":{},"version":"2"}}`), "consent_version_should_be_number"},
		{"advertising id", consent(`{"consent":{"categoryPreferences":{}},"device":{"advertisingId":7}}`), "device_advertisingid_should_be_string"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := analyticstest.NewServer()
			status, answer := serverPost(t, srv, serverBatch(tt.message, serverTrack("good")))
			require.Equal(t, 200, status)
			require.JSONEq(t, `{"success":true}`, answer)
			if tt.code == "" {
				require.Equal(t, 2, srv.Accepted())
				require.Empty(t, srv.Log()[0].Code)
				return
			}
			require.Equal(t, 1, srv.Accepted(), "the valid one is published")
			require.Equal(t, "multi_user_error", srv.Log()[0].Code)
			require.Len(t, srv.Rejected(), 1)
			r := srv.Rejected()[0]
			require.Equal(t, tt.code, r.Code)
			require.Equal(t, 1, r.Request)
			require.NotEmpty(t, r.Reason)
			require.Equal(t, tt.message, string(r.Message))
		})
	}
}

func TestServerTakesConsentFromTheBatchContext(t *testing.T) {
	srv := analyticstest.NewServer()
	serverPost(t, srv, `{"context":{"consent":{"categoryPreferences":{"a":false}}},"batch":[`+
		`{"type":"track","userId":"u","event":"Segment Consent Preference Updated"}]}`)
	require.Empty(t, srv.Rejected())
}

func TestServerSumsUpRequests(t *testing.T) {
	bad := `{"type":"track","userId":"u"}`
	pages := func(n int) string {
		return `{"batch":[` + strings.TrimSuffix(strings.Repeat(`{"type":"page","userId":"u"},`, n), ",") + `]}`
	}
	tests := []struct {
		name, path, body, code string
		rules                  analyticstest.Rules
		accepted, rejected     int
	}{
		{name: "no batch", body: `{}`, code: "empty_batch"},
		{name: "null batch", body: `{"batch":null}`, code: "empty_batch"},
		{name: "empty batch", body: `{"batch":[ ]}`, code: "empty_batch"},
		{name: "nothing left", body: serverBatch(bad, bad), code: "empty_batch_result", rejected: 2},
		{name: "single", path: "/v1/track", body: bad, code: "event_not_defined", rejected: 1},
		{name: "2,500 messages pass", body: pages(2500), accepted: 2500},
		{name: "2,501 messages", body: pages(2501), code: "empty_batch_result", rejected: 2501},
		{
			name: "source disabled", body: serverBatch(serverTrack("a")), code: "empty_batch_result", rejected: 1,
			rules: analyticstest.Rules{RejectAll: "source_disabled"},
		},
		{
			name: "large message dropped", body: serverBatch(serverTrack("a"), serverTrack(strings.Repeat("b", 200))),
			code: "multi_user_error", accepted: 1, rejected: 1,
			rules: analyticstest.Rules{MaxMessage: 200, DropLargeMessage: true},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := analyticstest.NewServer()
			srv.SetRules(tt.rules)
			status, _ := serverPost(t, srv, tt.body, func(r *http.Request) {
				if tt.path != "" {
					r.URL.Path = tt.path
				}
			})
			require.Equal(t, 200, status)
			e := srv.Log()[0]
			require.Equal(t, tt.code, e.Code)
			require.Equal(t, tt.accepted, e.Accepted)
			require.Equal(t, tt.rejected, e.Rejected)
			require.Len(t, srv.Rejected(), tt.rejected)
		})
	}
}
