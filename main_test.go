package analytics_test

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dev/analytics"
)

// TestMain fails the run if a goroutine of the library is left when all clients have
// been closed.
//
// With ANALYTICS_TEST_SPOOL=1 in the environment, the clients of the tests keep their
// events on disk.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := leaked(5 * time.Second); left != "" {
			fmt.Fprintf(os.Stderr, "goroutines are left:\n\n%s\n", left)
			code = 1
		}
	}
	os.Exit(code)
}

// newClient is analytics.New, over the log that the tests are to run over.
func newClient(t testing.TB, cfg analytics.Config) (*analytics.Client, error) {
	if analytics.TestSpool && cfg.Spool.Dir == "" {
		cfg.Spool = analytics.SpoolOf(t.TempDir(), cmp.Or(cfg.MaxMemory, 32<<20))
		cfg.MaxAge = cmp.Or(cfg.MaxAge, 4*time.Hour)
	}
	return analytics.New(cfg)
}

// leaked returns the stacks of goroutines in delivery code that are still there after
// d: what ends meanwhile is no leak.
func leaked(d time.Duration) string {
	deadline := time.After(d)
	for {
		buf := make([]byte, 1<<20)
		buf = buf[:runtime.Stack(buf, true)]
		var left []string
		for stack := range strings.SplitSeq(string(buf), "\n\n") {
			if strings.Contains(stack, "analytics.(*loop)") || strings.Contains(stack, "analytics.(*outcomes)") || strings.Contains(stack, "analytics.(*diskLog)") || strings.Contains(stack, "analytics.(*spool)") {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return ""
		}
		select {
		case <-deadline:
			return strings.Join(left, "\n\n")
		default:
			runtime.Gosched()
		}
	}
}
