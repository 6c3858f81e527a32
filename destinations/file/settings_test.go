package file_test

import (
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
	"github.com/tributary-dev/analytics/destinations/file"
)

func TestConforms(t *testing.T) {
	for name, at := range map[string]func(path string) *file.Destination{
		"one file":   func(path string) *file.Destination { return &file.Destination{Path: path} },
		"many files": func(path string) *file.Destination { return &file.Destination{Path: path, MaxBytes: 2000} },
		"many compressed ones": func(path string) *file.Destination {
			return &file.Destination{Path: path, MaxBytes: 2000, Gzip: true, Sync: true}
		},
	} {
		t.Run(name, func(t *testing.T) {
			destinationtest.Run(t, destinationtest.Setup{
				New: func(s *destinationtest.Service) analytics.Destination {
					return at(filepath.Join(s.Dir(), "events.ndjson"))
				},
				Stored: func(s *destinationtest.Service) ([]string, error) { return stored(s.Dir(), "events.ndjson") },
			})
		})
	}
}

func TestDescription(t *testing.T) {
	desc := (&file.Destination{Path: "events.ndjson"}).Describe()
	require.Equal(t, analytics.Total, desc.Order)
	require.Len(t, desc.Lanes, 1)
	require.Contains(t, desc.Lanes, "")
	for _, call := range []analytics.Call{
		analytics.CallTrack, analytics.CallIdentify, analytics.CallPage, analytics.CallScreen,
		analytics.CallGroup, analytics.CallAlias, analytics.CallObject,
	} {
		require.True(t, desc.Calls.Has(call), "%s", call)
	}
}

func TestClose(t *testing.T) {
	path := pathIn(t)
	d := open(t, &file.Destination{Path: path})
	write(t, d, event(t, "m-1", 0))
	require.NoError(t, d.Close(t.Context()))
	require.NoError(t, d.Close(t.Context())) // the contract allows a second call
	items := desttest.Translate(t, d, event(t, "m-2", 0))
	require.Error(t, d.Deliver(t.Context(), &analytics.Batch{Items: items}))
	requireStored(t, path, "m-1")
}

func TestSettings(t *testing.T) {
	path := pathIn(t)
	for name, c := range map[string]struct {
		d    *file.Destination
		want [][]string // for each fault the fields that may be named
	}{
		"neither Path nor Writer": {&file.Destination{}, [][]string{{"Path", "Writer"}}},
		"both Path and Writer":    {&file.Destination{Path: path, Writer: io.Discard}, [][]string{{"Path", "Writer"}}},
		"a negative age":          {&file.Destination{Path: path, MaxAge: -1}, [][]string{{"MaxAge"}}},
		"a negative number":       {&file.Destination{Path: path, MaxFiles: -1}, [][]string{{"MaxFiles"}}},
		"everything at once": {
			&file.Destination{MaxAge: -1, MaxFiles: -1},
			[][]string{{"Path", "Writer"}, {"MaxAge"}, {"MaxFiles"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.d.Open(analytics.Env{HTTP: http.DefaultClient})
			require.Error(t, err)
			list := []error{err}
			if joined, ok := err.(interface{ Unwrap() []error }); ok {
				list = joined.Unwrap()
			}
			require.Len(t, list, len(c.want), "%v", err)
			for _, fields := range c.want {
				require.True(t, slices.ContainsFunc(list, func(one error) bool {
					invalid, ok := one.(*analytics.InvalidError)
					return ok && invalid.Reason != "" && slices.Contains(fields, invalid.Field)
				}), "%v names none of %v", err, fields)
			}
		})
	}
	require.NoFileExists(t, path)
}

func FuzzTranslate(f *testing.F) {
	d := &file.Destination{Writer: io.Discard}
	desttest.Open(f, d, desttest.Serve(nil))
	desttest.FuzzTranslate(f, d)
}
