package examples_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPrograms runs the programs as a reader does. The quickstart, as it is without its
// flag, has a test of its own.
func TestPrograms(t *testing.T) {
	for name, want := range map[string]string{
		"service":            "3 events arrived.",
		"fanout":             "Secret Kept       -          -     yes",
		"custom-destination": "7 accepted = 3 delivered + 2 filtered (1 unsupported, 1 ignored) + 2 dropped (1 invalid, 1 rejected) + 0 pending",
		"collector":          "7 messages arrived, each once",
		"devicemode":         "Each tool has every event that was for it once",
		"testing":            `{"order_id":"o-1"}`,
		"spool":              "2000 accepted = 2000 delivered",
		"warehouse":          "the database that was rebuilt from it gives the same answers",

		"quickstart -handler": "exactly once",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), "go", append([]string{"run"}, strings.Fields("./"+name)...)...)
			cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir()) // some leave files there
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Contains(t, string(out), want)
		})
	}
}
