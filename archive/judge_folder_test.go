package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

func put(t *testing.T, b archive.Bucket, key, text string) {
	t.Helper()
	require.NoError(t, b.Put(t.Context(), key, strings.NewReader(text), archive.PutOptions{}))
}

func textOf(t *testing.T, b archive.Bucket, key string) string {
	t.Helper()
	r, err := b.Get(t.Context(), key)
	require.NoError(t, err)
	defer r.Close()
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(text)
}

func listed(t *testing.T, b archive.Bucket, prefix string) []string {
	t.Helper()
	keys := []string{}
	for o, err := range b.List(t.Context(), prefix) {
		require.NoError(t, err)
		keys = append(keys, o.Key)
	}
	return keys
}

// The rules of a Bucket, for the one in memory of these tests as well.
func TestJudgeBuckets(t *testing.T) {
	for name, b := range map[string]archive.Bucket{"folder": &archive.Folder{Path: filepath.Join(t.TempDir(), "new", "folder")}, "shelf": newShelf()} {
		t.Run(name, func(t *testing.T) {
			_, err := b.Get(t.Context(), "none")
			require.ErrorIs(t, err, archive.ErrNotFound)
			_, err = b.Stat(t.Context(), "none/of/it")
			require.ErrorIs(t, err, archive.ErrNotFound)
			require.NoError(t, b.Delete(t.Context(), "none"))
			require.Empty(t, listed(t, b, ""))

			put(t, b, "x", "one")
			require.ErrorIs(t, b.Put(t.Context(), "x", strings.NewReader("two"), archive.PutOptions{IfAbsent: true}), archive.ErrExists)
			require.Equal(t, "one", textOf(t, b, "x"))
			put(t, b, "x", "three")
			require.Equal(t, "three", textOf(t, b, "x"))
			require.NoError(t, b.Put(t.Context(), "fresh", strings.NewReader("f"), archive.PutOptions{IfAbsent: true}))
			broken := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("broken")))
			require.Error(t, b.Put(t.Context(), "x", broken, archive.PutOptions{}))
			require.Error(t, b.Put(t.Context(), "y", broken, archive.PutOptions{}))
			require.Equal(t, "three", textOf(t, b, "x"))
			require.Equal(t, []string{"fresh", "x"}, listed(t, b, ""), "no half file")
			o, err := b.Stat(t.Context(), "x")
			require.NoError(t, err)
			require.EqualValues(t, 5, o.Size)
			require.False(t, o.Modified.IsZero())
			require.NoError(t, b.Delete(t.Context(), "x"))
			require.NoError(t, b.Delete(t.Context(), "fresh"))

			keys := []string{"a/b/c", "a/b-c", "a/b.c/d", "a/b0", "a-b/c", "a.b", "a0/x", "A", "ab", "a/=x/y=1/z", "ä", "a/ä"}
			for _, key := range keys {
				put(t, b, key, key)
			}
			slices.Sort(keys)
			require.Equal(t, keys, listed(t, b, ""), "the byte order of keys, in which / is a byte as others")
			for _, prefix := range []string{"a", "a/", "a/b", "a/b/", "a/b.c/d", "a-", "nothing", "a/=x/y"} {
				want := slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return !strings.HasPrefix(k, prefix) })
				require.ElementsMatch(t, want, listed(t, b, prefix), "%q", prefix)
				require.Equal(t, append([]string{}, want...), listed(t, b, prefix), "%q", prefix)
			}
			for o, err := range b.List(t.Context(), "") {
				require.NoError(t, err)
				require.Equal(t, "A", o.Key)
				break // whoever has seen enough
			}
		})
	}
}

func TestJudgeFolderStaysInside(t *testing.T) {
	dir := t.TempDir()
	b := &archive.Folder{Path: filepath.Join(dir, "bucket")}
	put(t, b, "ok", "ok")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("s"), 0o600))
	for _, key := range []string{"", "../secret", "a/../../secret", "/secret", "a//b", "a/", "./a", "a/./b", "..", ".", "a\x00b"} {
		require.Error(t, b.Put(t.Context(), key, strings.NewReader("x"), archive.PutOptions{}), "%q", key)
		_, err := b.Get(t.Context(), key)
		require.Error(t, err, "%q", key)
		_, err = b.Stat(t.Context(), key)
		require.Error(t, err, "%q", key)
		_ = b.Delete(t.Context(), key)
	}
	text, err := os.ReadFile(filepath.Join(dir, "secret"))
	require.NoError(t, err)
	require.Equal(t, "s", string(text))
	require.Equal(t, []string{"ok"}, listed(t, b, ""))
}

// One of many that store a key if it is absent does so.
func TestJudgeFolderIfAbsent(t *testing.T) {
	b := &archive.Folder{Path: t.TempDir()}
	for round := range 20 {
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() {
				errs[i] = b.Put(t.Context(), fmt.Sprint("key-", round), bytes.NewReader(bytes.Repeat([]byte{byte('a' + i)}, 1000)), archive.PutOptions{IfAbsent: true})
			})
		}
		wg.Wait()
		won := -1
		for i, err := range errs {
			if err == nil {
				require.Equal(t, -1, won, "two have won")
				won = i
				continue
			}
			require.ErrorIs(t, err, archive.ErrExists)
		}
		require.Equal(t, strings.Repeat(string(rune('a'+won)), 1000), textOf(t, b, fmt.Sprint("key-", round)))
	}
	require.Len(t, listed(t, b, ""), 20)
}

// An archive in a folder: its unfinished files are beside the others and none of them.
func TestJudgeArchiveInAFolder(t *testing.T) {
	dir := t.TempDir()
	b := &archive.Folder{Path: dir}
	d := &archive.Destination{Bucket: b, SourceOf: byUserPrefix}
	require.NoError(t, d.Open(analytics.Env{}))
	f := newFeed('o', 40, night, 40*1e6)
	require.NoError(t, f.run(t, d, 10, 20))
	require.NotEmpty(t, sizes(t, filepath.Join(dir, "_parts")))
	a, err := archive.Open(b, "")
	require.NoError(t, err)
	report, err := a.Verify(t.Context(), nil)
	require.NoError(t, err)
	require.Zero(t, report.Files)
	gone, err := a.Forget(t.Context(), archive.Identity{UserID: "nobody"})
	require.NoError(t, err)
	require.Positive(t, gone.Parts)
	require.NoError(t, d.Rotate(t.Context()))
	require.NoError(t, f.run(t, d, 10, 40))
	require.NoError(t, d.Close(t.Context()))
	requireVerified(t, b, "", len(f.all()))

	s := newShelf()
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, "%s can be read by others", path)
		key, err := filepath.Rel(dir, path)
		require.NoError(t, err)
		if key = filepath.ToSlash(key); strings.HasPrefix(key, "_parts/") {
			return nil
		}
		s.files[key], err = os.ReadFile(path)
		return err
	}))
	requireArchived(t, s, shape{compression: archive.Gzip}, f.all())
}
