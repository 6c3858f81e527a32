package analytics

import (
	"context"
	"errors"
	"fmt"
)

// A Plugin sees every event on its way to the log (Config.Plugins) or to one
// destination ([With]) and may change it, in the order of the list.
//
// Plugins of the client run on the goroutine of the caller, with its context and
// with an event of their own; their error is the call's error. Plugins of a
// destination must be deterministic (sample by hash, not by chance), since an
// event is translated again after a restart; their error sends the event to the
// dead letters. [Drop] is how either lets an event go. Panics are contained.
type Plugin interface {
	Process(context.Context, *Event) error
}

// PluginFunc is a func as a Plugin.
type PluginFunc func(context.Context, *Event) error

// Process calls f.
func (f PluginFunc) Process(ctx context.Context, e *Event) error { return f(ctx, e) }

// Drop is the error by which a plugin drops an event. The event counts as
// filtered; the call that made it returns nil.
func Drop(reason string) error { return &dropError{reason} }

type dropError struct{ reason string }

func (e *dropError) Error() string { return "dropped by a plugin: " + e.reason }

// process runs the plugins over e. A panic becomes an error that names the plugin.
func process(ctx context.Context, plugins []Plugin, e *Event) error {
	for _, p := range plugins {
		if err := protect(p, func() error { return p.Process(ctx, e) }); err != nil {
			return err
		}
	}
	return nil
}

// errPanic marks errors that stand for a panic in foreign code.
var errPanic = errors.New("panic")

// protect calls f, foreign code of the type of owner, and turns a panic into an
// error.
func protect(owner any, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicError(owner, v)
		}
	}()
	return f()
}

// panicError names the type of what was thrown and not its value, which may hold
// content of an event.
func panicError(owner, thrown any) error {
	return fmt.Errorf("%w in %T (a %T)", errPanic, owner, thrown)
}
