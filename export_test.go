package analytics

import "os"

// SpoolOf is a spool for tests that stands for a memory of so many bytes: as small a
// log, in segments of the same size.
func SpoolOf(dir string, memory int) Spool {
	return Spool{Dir: dir, Sync: Never, MinFree: -1, settings: func(o *logSettings) {
		o.limit, o.unit = int64(memory), int64(min(max(memory/64, diskCost(maxEventBytes)), 256<<10))
	}}
}

// TestSpool is where the tests of the core keep spools, if they are to run over the
// log on disk; see TestMain.
var TestSpool = os.Getenv("ANALYTICS_TEST_SPOOL") != ""
