package clients_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSegmentForNode runs @segment/analytics-node, by node/send.mjs.
func TestSegmentForNode(t *testing.T) {
	if os.Getenv("ANALYTICS_INTEGRATION") != "1" {
		t.Skip("set ANALYTICS_INTEGRATION=1 to run it")
	}
	install(t)
	for name, c := range map[string]struct {
		gzip    bool
		trouble []trouble
	}{
		"as it is": {},
		"gzip":     {gzip: true},
		"trouble":  {trouble: bad},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, c.trouble...)
			list := messages(t, most)
			r.sendNode(list, c.gzip)
			r.expect(list, nodeMeans(t))
			if c.trouble != nil {
				r.expectTrouble()
				r.expectRetryCounts()
			} else if !c.gzip {
				r.expectFacts("analytics-node")
			}
		})
	}
}

// install has npm install what package-lock.json says, unless it is there already: then
// the tests need no network.
func install(t *testing.T) {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		_, err := exec.LookPath(program)
		require.NoError(t, err, "with ANALYTICS_INTEGRATION=1 this test needs Node.js 20 or newer with npm")
	}
	if locked := packages("node/package-lock.json"); locked != "" && locked == packages("node/node_modules/.package-lock.json") {
		return
	}
	cmd := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = "node"
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "npm ci in integration/clients/node, which needs the network once: %s", out)
}

// packages are those of a lock file, but for the root; empty if there is none.
func packages(file string) string {
	var lock struct{ Packages map[string]any }
	text, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil || json.Unmarshal(text, &lock) != nil {
		return ""
	}
	delete(lock.Packages, "")
	out, _ := json.Marshal(lock.Packages) // it was JSON
	return string(out)
}

func (r *receiver) sendNode(list []object, gzip bool) {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "node", "send.mjs")
	cmd.Dir = "node"
	cmd.Stdin = bytes.NewReader(encode(r.t, object{"host": r.url, "writeKey": writeKey, "gzip": gzip, "messages": list}))
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	require.NoError(r.t, err, "%s%s", out, &problems)
	require.Empty(r.t, problems.String())
	require.Equal(r.t, object{"sent": json.Number(strconv.Itoa(len(list))), "failures": []any{}}, decode(r.t, string(out)))
}

// nodeMeans: the client has the numbers of JavaScript, and writes the category of a page
// twice.
func nodeMeans(t *testing.T) func(object) {
	return func(m object) {
		for key, v := range m {
			m[key] = rounded(v)
		}
		if m["type"] == "page" && m["category"] != nil {
			properties, _ := m["properties"].(object)
			properties = maps.Clone(properties)
			properties["category"] = m["category"]
			m["properties"] = properties
		}
	}
}

// expectRetryCounts: the client says how often it has tried before.
func (r *receiver) expectRetryCounts() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	again := 0
	for _, in := range r.requests {
		if in.header.Get("X-Retry-Count") != "" {
			again++
		}
	}
	require.Equal(r.t, len(bad), again)
}
