// Package browser holds the test of examples/collector with a real browser, headless
// Chromium. It runs where ANALYTICS_INTEGRATION=1 is set; there, a missing browser is a
// failure. The browser's driver is what makes this a module of its own.
package browser
