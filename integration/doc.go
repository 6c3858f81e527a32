// Package integration holds the tests that need more than Go: a service, a mount. They
// run where ANALYTICS_INTEGRATION=1 is set; there, what is missing is a failure.
package integration
