//go:build race

package archive_test

// powerRuns is how many schedules of power loss are run.
const powerRuns = 20
