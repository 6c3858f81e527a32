// Package integration holds the tests of several parts of the library together, and those
// that need more than Go: a service, a mount. The latter run where ANALYTICS_INTEGRATION=1
// is set; there, what is missing is a failure.
package integration
