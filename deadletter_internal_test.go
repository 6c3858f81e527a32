package analytics

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A full disk cuts a line off in the middle of the life of a file.
func TestDeadLetterFileGoesOnAfterAFailedWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.ndjson")
	f := &DeadLetterFile{Path: path}
	letter := DeadLetter{Destination: "A", Event: []byte(`{"messageId":"m"}`)}
	require.NoError(t, f.Write(letter))
	require.NoError(t, f.Close())
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append(b, b[:20]...), 0o600))
	f.file, err = os.Open(path) // cannot be written to
	require.NoError(t, err)

	require.ErrorContains(t, f.Write(letter), "dead letter: ")
	require.NoError(t, f.Write(letter))
	require.NoError(t, f.Close())
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(b)+string(b[:20])+"\n"+string(b), string(after))
	require.Equal(t, f.size, int64(len(after)))
	letters := 0
	for _, err := range ReadDeadLetters(strings.NewReader(string(after))) {
		if err == nil {
			letters++
		}
	}
	require.Equal(t, 2, letters)
}
