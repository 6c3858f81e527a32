// Package clients runs published clients of Segment, and our own, against a handler of
// package trackingapi on the loopback interface. It is a module of its own, so that their
// dependencies stay out of every other.
//
// Those written in Go run always. That for Node.js needs node, npm and the network, and
// runs where ANALYTICS_INTEGRATION=1 is set; there, what is missing is a failure.
package clients
