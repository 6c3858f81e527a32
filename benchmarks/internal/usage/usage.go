// Package usage says what a process has taken of the machine.
package usage
