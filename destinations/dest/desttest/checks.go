package desttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tributary-dev/analytics"
)

// Fixtures translates and delivers each of [Inputs] by itself and compares the
// requests with the recorded ones in file: method, address, body as JSON, and those
// headers that were recorded. open returns a destination that is opened with a new
// tool. Headers named in recompute are the test's own business.
func Fixtures(t *testing.T, file string, open func(t *testing.T) (analytics.Destination, *Tool), recompute ...string) {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct {
		Cases map[string]struct {
			Ignored  bool `json:"ignored"`
			Requests []struct {
				Method  string            `json:"method"`
				URL     string            `json:"url"`
				Headers map[string]string `json:"headers"`
				JSON    json.RawMessage   `json:"json"`
			} `json:"requests"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(raw, &recorded); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, in := range Inputs(t) {
		t.Run(in.ID, func(t *testing.T) {
			want := recorded.Cases[in.ID] // an input that is not recorded is ignored
			d, tool := open(t)
			if results := Deliver(t, d, in.Event); len(results) > 0 && !results.All(analytics.WordDelivered) {
				t.Fatalf("results: %+v", results)
			}
			got := tool.Requests()
			if len(got) != len(want.Requests) {
				t.Fatalf("%d requests, want %d: %s", len(got), len(want.Requests), bodies(got))
			}
			for i, w := range want.Requests {
				g := got[i]
				if g.Method != w.Method || g.URL != w.URL {
					t.Errorf("request %d is %s %s, want %s %s", i, g.Method, g.URL, w.Method, w.URL)
				}
				for name, value := range w.Headers {
					if !containsFold(recompute, name) && g.Header.Get(name) != value {
						t.Errorf("request %d: header %s is %q, want %q", i, name, g.Header.Get(name), value)
					}
				}
				if d := DiffJSON(w.JSON, g.Body); d != "" {
					t.Errorf("request %d: %s\ngot %s", i, d, g.Body)
				}
			}
		})
	}
}

func bodies(requests []Request) string {
	var b strings.Builder
	for _, r := range requests {
		b.WriteString("\n" + r.Method + " " + r.URL + " " + string(r.Body))
	}
	return b.String()
}

func containsFold(list []string, s string) bool {
	for _, one := range list {
		if strings.EqualFold(one, s) {
			return true
		}
	}
	return false
}

// FuzzTranslate feeds arbitrary events to Translate: it must not panic, must say the
// same twice, must not change the event, and what it makes is JSON in valid UTF-8
// within the lane's limits. No error may hold one of the secrets of the settings. d is
// opened by the caller.
func FuzzTranslate(f *testing.F, d analytics.Destination, secrets ...string) {
	for _, name := range []string{"testdata/inputs.json", "testdata/wide.json"} {
		for _, in := range load(f, name) {
			f.Add([]byte(in.Raw))
		}
	}
	lanes := d.Describe().Lanes
	f.Fuzz(func(t *testing.T, raw []byte) {
		e := &analytics.Event{}
		if e.UnmarshalJSON(raw) != nil || !takes(d, e.Type) {
			return
		}
		before := e.Clone()
		items, err := translate(d, e)
		if !reflect.DeepEqual(before, e) {
			t.Fatalf("the event was changed: %s", raw)
		}
		again, err2 := translate(d, e.Clone())
		if (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
			t.Fatalf("two errors: %v, %v", err, err2)
		}
		if err != nil {
			CheckError(t, err, secrets...)
			return
		}
		if len(items) != len(again) {
			t.Fatalf("%d items, then %d", len(items), len(again))
		}
		for i, it := range items {
			if !bytes.Equal(it.Body, again[i].Body) || it.ID != again[i].ID || it.Lane != again[i].Lane || it.Group != again[i].Group || it.Key != again[i].Key {
				t.Fatalf("item %d differs the second time:\n%s\n%s", i, it.Body, again[i].Body)
			}
			if len(it.Body) == 0 {
				continue // the item is Data
			}
			if !utf8.Valid(it.Body) || !json.Valid(it.Body) {
				t.Fatalf("item %d is not JSON in UTF-8: %q", i, it.Body)
			}
			if _, ok := lanes[it.Lane]; !ok && (lanes != nil || it.Lane != "") {
				t.Fatalf("item %d is for lane %q, which is not described", i, it.Lane)
			}
		}
	})
}

// CheckError fails if an error of Translate is no [analytics.InvalidError] that names a
// field, or if it holds a secret.
func CheckError(t testing.TB, err error, secrets ...string) {
	t.Helper()
	var invalid *analytics.InvalidError
	switch {
	case errors.Is(err, analytics.ErrIgnored):
	case !errors.As(err, &invalid):
		t.Fatalf("error of Translate is a %T: %v", err, err)
	case invalid.Field == "" || invalid.Reason == "":
		t.Fatalf("error names no field or no reason: %v", err)
	}
	for _, s := range secrets {
		if strings.Contains(err.Error(), s) {
			t.Fatalf("a secret is in the error: %v", err)
		}
	}
}

// BenchmarkTranslate measures Translate with its encoding for the ordinary track event
// of [Inputs].
func BenchmarkTranslate(b *testing.B, d analytics.Destination) {
	e := Inputs(b)[0].Event
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Translate(e); err != nil {
			b.Fatal(err)
		}
	}
}
