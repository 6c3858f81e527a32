package warehouse

import (
	"cmp"
	"fmt"
	"strings"
)

// snake is the name of a column or table for a key or an event name, as
// segmentio/go-snakecase makes it: words are cut at every byte that is no ASCII letter
// or digit, and before each capital that follows a lower-case letter; they are joined
// with "_" in lower case. It may be empty.
func snake(s string) string {
	if isSnake(s) {
		return s
	}
	b := make([]byte, 0, len(s)+4)
	gap, small := false, false // before a new word; the word has a lower-case letter
	for i := range len(s) {
		c := s[i]
		capital := c >= 'A' && c <= 'Z'
		letter := c >= 'a' && c <= 'z'
		if !capital && !letter && (c < '0' || c > '9') {
			gap = true
			continue
		}
		if capital && small {
			gap = true
		}
		if gap && len(b) > 0 {
			b = append(b, '_')
		}
		if gap {
			gap, small = false, false
		}
		if capital {
			c += 'a' - 'A'
		}
		small = small || letter
		b = append(b, c)
	}
	return string(b)
}

// isSnake tells whether s is lower-case words with single underscores between them.
func isSnake(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c == '_' && i > 0 && i < len(s)-1 && s[i-1] != '_':
		default:
			return false
		}
	}
	return s != ""
}

// identifier makes a name that needs no quotes in any of the databases, of at most most
// bytes: an underscore goes before a digit and before a word of SQL, and what is too
// long ends in a hash of the whole, so that the name does not depend on others.
func identifier(name string, most int) string {
	if name == "" {
		return ""
	}
	if name[0] >= '0' && name[0] <= '9' || reserved[name] {
		name = "_" + name
	}
	if len(name) <= most {
		return name
	}
	return shortened(name, hashed(hashBasis, name), most)
}

// shortened is the front of a name with the hash of the whole.
func shortened(name string, sum uint32, most int) string {
	return fmt.Sprintf("%s_%08x", name[:most-9], sum)
}

// hashBasis is the FNV-1a hash, of 32 bits, of nothing.
const hashBasis = uint32(2166136261)

// hashed is the FNV-1a hash of what has the hash sum, and s behind it.
func hashed(sum uint32, s string) uint32 {
	for i := range len(s) {
		sum = (sum ^ uint32(s[i])) * 16777619
	}
	return sum
}

// schemaName is the name of a schema for that of a source. PostgreSQL keeps those that
// begin with pg_ for itself.
func schemaName(source string, most int) string {
	name := identifier(snake(source), most)
	if strings.HasPrefix(name, "pg_") || name == "information_schema" {
		return identifier("_"+name, most)
	}
	return name
}

// settingName is the name of a table or column in a setting: as it is in the database, or
// as events have it.
func settingName(s string, most int) string {
	if s == "*" || strings.HasPrefix(s, "_") {
		return s
	}
	return cmp.Or(identifier(snake(s), most), s)
}

// reserved are the words that cannot name a column or table without quotes in
// PostgreSQL, SQLite or Redshift, with the columns that every table of PostgreSQL has.
var reserved = words(`
	cmax cmin ctid tableoid xmax xmin
	aes128 aes256 add all allowdateformat alter always analyse analyze and any array as asc asymmetric authorization
	autoincrement az64 backup between binary blanksasnull both bytedict case cast check collate collation column commit
	concurrently constraint create credentials cross current_catalog current_date current_role current_schema
	current_time current_timestamp current_user current_user_id default deferrable deflate defrag delete delta
	delta32k desc disable distinct do drop else emptyasnull enable encode encrypt encryption end escape except
	exists explicit false fetch for foreign freeze from full globaldict256 globaldict64k grant group gzip having
	identity if ignore ilike in index initially inner insert intersect into is isnull join language lateral leading
	left like limit localtime localtimestamp lun luns lzo lzop minus mostly13 mostly32 mostly8 natural new not
	notnull nothing null nulls off offline offset oid old on only open or order outer overlaps parallel partition
	percent permissions pivot placing primary raw readratio recover references rejectlog resort respect restore
	returning right select session_user set similar snapshot some sysdate system system_user table tablesample tag
	tdes text255 text32k then timestamp to top trailing transaction true truncatecolumns union unique unnest unpivot
	update user using values variadic verbose wallet when where window with without`)

func words(text string) map[string]bool {
	m := make(map[string]bool)
	for _, w := range strings.Fields(text) {
		m[w] = true
	}
	return m
}

// idHash is what the column uuid holds: the 63 low bits of the FNV-1a hash of an id.
func idHash(id string) int64 {
	h := uint64(14695981039346656037)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return int64(h &^ (1 << 63))
}
