package archive_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestConforms(t *testing.T) {
	folder := func(s *destinationtest.Service) *archive.Folder {
		return &archive.Folder{Path: filepath.Join(s.Dir(), "archive")}
	}
	for name, settings := range map[string]archive.Destination{
		"segment, gzip": {MaxBytes: 1}, // each batch is a file at once
		"hive, zstd":    {MaxBytes: 1, Layout: archive.Hive, Compression: archive.Zstd},
	} {
		t.Run(name, func(t *testing.T) {
			destinationtest.Run(t, destinationtest.Setup{
				New: func(s *destinationtest.Service) analytics.Destination {
					return &archive.Destination{Bucket: folder(s), MaxBytes: settings.MaxBytes, Layout: settings.Layout, Compression: settings.Compression}
				},
				Stored: func(s *destinationtest.Service) (ids []string, err error) {
					a, err := archive.Open(folder(s), "")
					if err != nil {
						return nil, err
					}
					for e, err := range a.Events(context.Background(), archive.Query{}) {
						if err != nil {
							return nil, err
						}
						ids = append(ids, e.MessageID)
					}
					return ids, nil
				},
				Skip: map[string]string{"open": "it opens two at once, and a folder of parts has one owner"},
			})
		})
	}
}
