package browser

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	example   = "../../examples/collector"
	published = "analytics.js"
	own       = "own.js"
)

// collector is the program, running.
type collector struct {
	page, events string // URLs
}

// build returns where the program is.
func build(t *testing.T) (bin string) {
	t.Helper()
	bin = filepath.Join(t.TempDir(), "collector")
	cmd := exec.Command("go", "build", "-o", bin, ".")
	cmd.Dir = example
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return bin
}

// start runs the program until the test ends. The API has the page's address, or one of
// its own.
func start(t *testing.T, bin string, apart bool) *collector {
	t.Helper()
	args := []string{"-visit=false", "-addr", "127.0.0.1:0", "-modules", "node_modules"}
	if apart {
		args = append(args, "-events", "127.0.0.1:0")
	}
	cmd := exec.Command(bin, args...)
	cmd.Dir, cmd.Stderr = example, os.Stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		require.NoError(t, cmd.Wait(), "it does not end as it should")
	})

	said := map[string]string{}
	for lines := bufio.NewScanner(stdout); len(said) < 3 && lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		said[name] = strings.TrimSpace(value)
	}
	require.Len(t, said, 3, "%v", said)
	c := &collector{page: said["page"], events: strings.TrimSuffix(said["events"], "/v1")}
	require.Equal(t, !apart, strings.HasPrefix(c.page, c.events+"/"))
	return c
}

// installed demands that npm has installed the published analytics.js: this was asked
// for together with the browser.
func installed(t *testing.T) {
	t.Helper()
	_, err := os.Stat(filepath.Join(example, "node_modules", "@segment", "analytics-next", "dist", "umd", "index.js"))
	require.NoError(t, err, "npm ci --prefix examples/collector installs it")
}
