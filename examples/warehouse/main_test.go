package main

// Internal, as a program exports nothing to test it by.

import (
	"bytes"
	"flag"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
	"github.com/tributary-dev/analytics/ecommerce"
	"github.com/tributary-dev/analytics/examples"
)

var update = flag.Bool("update", false, "write the golden file")

const golden = "testdata/output.golden"

func TestTheDay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shop") // made by the program
	var out bytes.Buffer
	require.NoError(t, play(&out, dir), out.String())
	got := strings.ReplaceAll(out.String(), dir, "DIR")
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
	requireChart(t, filepath.Join(dir, "shop.png"))

	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.ErrorContains(t, play(io.Discard, dir), "is not empty")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, len(files))
}

// requireChart looks for the bars of both halves.
func requireChart(t *testing.T, name string) {
	file, err := os.Open(name)
	require.NoError(t, err)
	defer file.Close()
	picture, err := png.Decode(file)
	require.NoError(t, err)
	size := picture.Bounds().Size()
	require.Equal(t, 1440, size.X)
	require.Equal(t, 1080, size.Y)
	pixels := make(map[color.Color]int)
	upper := make(map[color.Color]int)
	for y := range size.Y {
		for x := range size.X {
			c := color.RGBAModel.Convert(picture.At(x, y))
			pixels[c]++
			if y < size.Y/2 {
				upper[c]++
			}
		}
	}
	require.Greater(t, upper[green], 20_000, "the revenue is above")
	require.Equal(t, pixels[green], upper[green])
	require.Greater(t, pixels[ochre], 80_000, "the funnel is below")
	require.Zero(t, upper[ochre])
}

func TestDamageIsFound(t *testing.T) {
	day, err := examples.ShopDay()
	require.NoError(t, err)
	dir := t.TempDir()
	files := &archive.Folder{Path: filepath.Join(dir, "archive")}
	require.NoError(t, load(t.Context(), day.Events[:200], filepath.Join(dir, "spool"), filepath.Join(dir, "shop.db"), files))
	names, err := filepath.Glob(filepath.Join(files.Path, "segment-logs", "*", "*", "*.gz"))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	data, err := os.ReadFile(names[0])
	require.NoError(t, err)
	data[len(data)/2] ^= 1
	require.NoError(t, os.WriteFile(names[0], data, 0o600))

	_, err = rebuild(t.Context(), files, filepath.Join(dir, "rebuilt.db"))
	require.ErrorContains(t, err, "the archive is damaged")
	require.NoFileExists(t, filepath.Join(dir, "rebuilt.db"))
}

// An amount without a rate must not be left out of a sum.
func TestACurrencyWithoutRate(t *testing.T) {
	dir := t.TempDir()
	var orders []*analytics.Event
	for _, currency := range []string{"EUR", "CHF"} {
		orders = append(orders, &analytics.Event{
			Type: analytics.CallTrack, Event: ecommerce.EventOrderCompleted, UserID: "u-1", MessageID: currency,
			Timestamp:  time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC),
			Properties: analytics.Properties{"revenue": 10.5, "currency": currency},
		})
	}
	database := filepath.Join(dir, "shop.db")
	files := &archive.Folder{Path: filepath.Join(dir, "archive")}
	require.NoError(t, load(t.Context(), orders, filepath.Join(dir, "spool"), database, files))
	_, err := ask(t.Context(), database)
	require.ErrorContains(t, err, "has its currency a rate?")
}

func TestTheBooksAreChecked(t *testing.T) {
	whole := func() *result {
		contents := func() contents {
			return contents{answers{hours: []hour{{7, 1, 10.5}}, funnel: [4]int{4, 3, 2, 1}, users: []user{{id: "u-1"}}}, counts{"track": 2}}
		}
		return &result{
			day:     &examples.Recording{Events: []*analytics.Event{{Type: "track"}, {Type: "track"}}},
			archive: counts{"track": 2}, shop: contents(), rebuilt: contents(),
		}
	}
	require.NoError(t, whole().check())
	for want, breaks := range map[string]func(*result){
		"the archive has map[track:1]": func(r *result) { r.archive["track"]-- },
		"shop.db has map[track:3]":     func(r *result) { r.shop.counts["track"]++ },
		"rebuilt.db has map[":          func(r *result) { r.rebuilt.counts["page"]++ },
		"different answers":            func(r *result) { r.rebuilt.hours[0].revenue = 10.51 },
	} {
		r := whole()
		breaks(r)
		require.ErrorContains(t, r.check(), want)
	}
}

func TestAmounts(t *testing.T) {
	require.Equal(t, "0.00", money(0))
	require.Equal(t, "999.99", money(999.99))
	require.Equal(t, "14,495.30", money(14495.3))
	require.Equal(t, "1,234,567", grouped(1234567))
	require.Equal(t, "-", percent(0, 0))
	require.Equal(t, "28.9 %", percent(57, 197))
}
