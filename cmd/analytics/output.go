package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// printable escapes what would do something to a terminal, as Go writes strings.
func printable(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unprintable(r):
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// printableJSON escapes within strings what would do something to a terminal; it means
// the same then. b is JSON without space between its parts.
func printableJSON(b []byte) []byte {
	if bytes.IndexFunc(b, unprintable) < 0 {
		return b
	}
	var out []byte
	for _, r := range string(b) {
		switch {
		case !unprintable(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// printJSON writes one line.
func (c *command) printJSON(v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	line := printableJSON(bytes.TrimRight(buf.Bytes(), "\n"))
	_, err := c.stdout.Write(append(line, '\n'))
	return err
}

// table aligns columns. Cells must be printable.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer, head ...any) table {
	t := table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	t.row(head...)
	return t
}

func (t table) row(cells ...any) {
	text := make([]string, len(cells))
	for i, cell := range cells {
		text[i] = printable(fmt.Sprint(cell))
	}
	fmt.Fprintln(t.w, strings.Join(text, "\t"))
}

func (t table) print() error { return t.w.Flush() }

func (c *command) printf(format string, args ...any) { fmt.Fprintf(c.stdout, format, args...) }

// bytesOf writes a number of bytes for people.
func bytesOf[N int | int64](n N) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

// count writes a number with its noun.
func count[N int | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

const timeFormat = "2006-01-02T15:04:05.000Z"

// moment writes Unix milliseconds in UTC.
func moment(ms int64) string { return time.UnixMilli(ms).UTC().Format(timeFormat) }

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
