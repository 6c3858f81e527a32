package clients_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// facts are how a client sends. A new version that does it otherwise is seen here.
type facts struct {
	Request         string            `json:"request"`
	UserAgent       string            `json:"userAgent"`
	ContentType     string            `json:"contentType"`
	ContentEncoding string            `json:"contentEncoding,omitempty"`
	Authorization   string            `json:"authorization"`
	Envelope        string            `json:"envelope"` // its keys
	Messages        map[string]string `json:"messages"` // keys by type
	Library         any               `json:"library"`
}

// expectFacts compares those of the requests that came with the golden file.
func (r *receiver) expectFacts(client string) {
	r.t.Helper()
	file := filepath.Join("testdata", "facts", client+".json")
	got, err := json.MarshalIndent(r.facts(), "", "  ")
	require.NoError(r.t, err)
	if got = append(got, '\n'); client == "own" {
		got = bytes.ReplaceAll(got, []byte(analytics.Version), []byte("VERSION"))
	}
	if *update {
		require.NoError(r.t, os.WriteFile(file, got, 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(r.t, err)
	require.Equal(r.t, string(want), string(got))
}

func (r *receiver) facts() (f facts) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.NotEmpty(r.t, r.requests)
	first := r.requests[0]
	f = facts{
		Request: first.method + " " + first.path, UserAgent: first.header.Get("User-Agent"), ContentType: first.header.Get("Content-Type"),
		ContentEncoding: first.header.Get("Content-Encoding"), Authorization: authorization(first.header.Get("Authorization")),
		Envelope: keys(first.body), Messages: map[string]string{},
	}
	all := map[string]object{}
	for _, in := range r.requests {
		require.Equal(r.t, f.Envelope, keys(in.body))
		require.Equal(r.t, f.UserAgent, in.header.Get("User-Agent"))
		for _, m := range in.body["batch"].([]any) {
			m := m.(object)
			call := m["type"].(string)
			all[call] = under(all[call], m)
			f.Messages[call] = keys(all[call])
			shared, _ := in.body["context"].(object)
			f.Library = under(m["context"], shared)["library"]
		}
	}
	return f
}

func keys(o object) string { return strings.Join(slices.Sorted(maps.Keys(o)), " ") }

// authorization is the form of a header, with KEY for the write key.
func authorization(header string) string {
	scheme, value, _ := strings.Cut(header, " ")
	if raw, err := base64.StdEncoding.DecodeString(value); err == nil {
		value = "base64(" + string(raw) + ")"
	}
	return strings.ReplaceAll(scheme+" "+value, writeKey, "KEY")
}
