package desttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"time"

	"github.com/tributary-dev/analytics"
)

// A Result is what was said of one item.
type Result struct {
	ID    string // Item.ID, the messageId unless the adapter makes one
	Lane  string
	Word  analytics.Word
	After time.Duration // the pause that goes with the word
	Err   error
}

// Results are those of several items, in the order in which they were sent.
type Results []Result

// Words returns the word for each item.
func (r Results) Words() []analytics.Word {
	words := make([]analytics.Word, len(r))
	for i := range r {
		words[i] = r[i].Word
	}
	return words
}

// All tells whether there are items and w was said of each of them.
func (r Results) All(w analytics.Word) bool {
	return len(r) > 0 && !slices.ContainsFunc(r, func(one Result) bool { return one.Word != w })
}

// DiffJSON compares two documents as JSON: the order of keys does not matter, 25 equals
// 25.0. It returns the first difference with its path, or nothing.
func DiffJSON(want, got []byte) string {
	w, err := decode(want)
	if err != nil {
		return "what is wanted is not JSON: " + err.Error()
	}
	g, err := decode(got)
	if err != nil {
		return fmt.Sprintf("not JSON: %v: %s", err, got)
	}
	return diff("", w, g)
}

func decode(raw []byte) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err = dec.Decode(&v); err == nil && dec.More() {
		err = fmt.Errorf("there is something behind the document")
	}
	return v, err
}

func diff(path string, want, got any) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			break
		}
		keys := make([]string, 0, len(w)+len(g))
		for k := range w {
			keys = append(keys, k)
		}
		for k := range g {
			if _, ok := w[k]; !ok {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		for _, k := range keys {
			wv, inWant := w[k]
			gv, inGot := g[k]
			switch {
			case !inGot:
				return fmt.Sprintf("%s.%s is missing, want %s", path, k, text(wv))
			case !inWant:
				return fmt.Sprintf("%s.%s is %s, want none", path, k, text(gv))
			}
			if d := diff(path+"."+k, wv, gv); d != "" {
				return d
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok {
			break
		}
		if len(w) != len(g) {
			return fmt.Sprintf("%s has %d elements, want %d: got %s, want %s", path, len(g), len(w), text(g), text(w))
		}
		for i := range w {
			if d := diff(fmt.Sprintf("%s[%d]", path, i), w[i], g[i]); d != "" {
				return d
			}
		}
		return ""
	case json.Number:
		g, ok := got.(json.Number)
		if !ok {
			break
		}
		if w == g {
			return ""
		}
		wi, wInt := new(big.Int).SetString(string(w), 10)
		gi, gInt := new(big.Int).SetString(string(g), 10)
		if wInt && gInt { // digit by digit: a float64 would round them
			if wi.Cmp(gi) == 0 {
				return ""
			}
			break
		}
		wf, wErr := w.Float64()
		gf, gErr := g.Float64()
		if wErr == nil && gErr == nil && wf == gf {
			return ""
		}
	default:
		if reflect.DeepEqual(want, got) {
			return ""
		}
	}
	return fmt.Sprintf("%s is %s, want %s", path, text(got), text(want))
}

func text(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
	return string(bytes.TrimSpace(b.Bytes()))
}
