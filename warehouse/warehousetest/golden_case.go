package warehousetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/tributary-dev/analytics/warehouse"
)

// goldenFile is a file of cases about one subject.
type goldenFile struct {
	Event object            `json:"event"` // what the events have that do not say otherwise
	Rows  map[string]object `json:"rows"`  // the same for rows, by table; "*" is any table of events
	Cases []*goldenCase     `json:"cases"`
}

// object is JSON of which only the first level was read, so that a number, an escape or
// a key that comes twice stays as it is.
type object map[string]json.RawMessage

// goldenCase are loads, and what the tables hold afterwards.
type goldenCase struct {
	Name    string                     `json:"name"`
	Why     string                     `json:"why"` // the rule
	Load    []object                   `json:"load"`
	Steps   []goldenStep               `json:"steps"` // where there is more than one load
	Tables  map[string]json.RawMessage `json:"tables"`
	Notices []string                   `json:"notices"` // "kind table column count"; - is an empty one
	Letters []string                   `json:"letters"` // ids of events that were refused

	tables map[string]*goldenTable
	wide   bool // its rows need a database that keeps wide ones
}

// goldenStep is one of: other settings from here on, a load, the last load once more, a
// column of another kind, an erasure.
type goldenStep struct {
	Settings json.RawMessage      `json:"settings"`
	Load     []object             `json:"load"`
	Again    bool                 `json:"again"`
	Retype   []string             `json:"retype"` // table, column, kind
	Forget   []warehouse.Identity `json:"forget"`
	Report   json.RawMessage      `json:"report"` // what Retype or Forget has to return
	Fails    bool                 `json:"fails"`  // it has to return an error
}

// goldenTable is what a table has to be.
type goldenTable struct {
	columns []warehouse.Column
	rows    map[string]map[string]string // by id and column: values as text, see goldenText
}

// parseGolden reads a file and fills in what its cases leave out.
func parseGolden(t *testing.T, name string) *goldenFile {
	data, err := goldenFiles.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f := new(goldenFile)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(f); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, c := range f.Cases {
		if err := c.complete(f); err != nil {
			t.Fatalf("%s: %s: %v", name, c.Name, err)
		}
	}
	return f
}

func (c *goldenCase) complete(f *goldenFile) (err error) {
	if c.Load != nil {
		c.Steps = append(c.Steps, goldenStep{Load: c.Load})
	}
	for _, s := range c.Steps {
		for i, e := range s.Load {
			s.Load[i] = merged(f.Event, e)
		}
	}
	c.tables = map[string]*goldenTable{}
	for name, raw := range c.Tables {
		if string(raw) == `"common"` {
			continue
		}
		if c.tables[name], err = parseTable(name, raw, f.Rows); err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
	}
	for name, raw := range c.Tables {
		if string(raw) == `"common"` {
			c.tables[name] = c.common(name)
		}
	}
	return nil
}

// merged is more over base. A null removes what base has.
func merged(base, more object) object {
	all := maps.Clone(base)
	if all == nil {
		all = object{}
	}
	maps.Copy(all, more)
	maps.DeleteFunc(all, func(_ string, v json.RawMessage) bool { return string(v) == "null" })
	return all
}

// parseTable reads a table of the file: "columns" are all of them, "also" those behind
// the standard ones, each as "name kind".
func parseTable(name string, raw []byte, defaults map[string]object) (*goldenTable, error) {
	var read struct {
		Object  bool     `json:"object"` // a row for each object, not for each event
		Columns []string `json:"columns"`
		Also    []string `json:"also"`
		Rows    []object `json:"rows"`
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&read); err != nil {
		return nil, err
	}
	_, name, _ = strings.Cut("."+name[strings.LastIndexByte(name, '.')+1:], ".")
	read.Object = read.Object || name == "users" || name == "accounts"
	if read.Columns == nil {
		read.Columns = append(standardColumns(name, read.Object), read.Also...)
	}
	t := &goldenTable{rows: map[string]map[string]string{}}
	for _, text := range read.Columns {
		c, err := parseColumn(text)
		if err != nil {
			return nil, err
		}
		t.columns = append(t.columns, c)
	}
	for _, r := range read.Rows {
		if !read.Object {
			r = merged(merged(defaults["*"], defaults[name]), r)
		}
		if err := t.add(r); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func parseColumn(text string) (c warehouse.Column, err error) {
	name, kind, _ := strings.Cut(text, " ")
	c.Name = name
	return c, c.Kind.UnmarshalText([]byte(kind))
}

// standardColumns are those that a table has from the first load on.
func standardColumns(table string, object bool) []string {
	if object {
		return []string{"id string", "received_at time", "uuid int", "uuid_ts time", "_unmapped json", "_newest json"}
	}
	own := []string{"event string", "event_text string"}
	switch table {
	case "identifies":
		own = nil
	case "groups":
		own = []string{"group_id string"}
	case "aliases":
		own = []string{"previous_id string"}
	case "pages", "screens":
		own = []string{"name string", "category string"}
	}
	columns := append([]string{"id string", "anonymous_id string", "user_id string"}, own...)
	return append(columns, "original_timestamp time", "sent_at time", "received_at time", "timestamp time",
		"uuid int", "uuid_ts time", "_unmapped json")
}
