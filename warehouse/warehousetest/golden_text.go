package warehousetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-dev/analytics/warehouse"
)

// wantText is the text of a value as a file has it.
func wantText(k warehouse.Kind, raw json.RawMessage) (string, error) {
	if k == warehouse.JSON {
		return jsonText(raw)
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v), nil
	case json.Number:
		if k == warehouse.Float {
			f, err := v.Float64()
			return gotText(warehouse.FloatValue(f)), err
		}
		return v.String(), nil
	case string:
		if k == warehouse.Time {
			at, err := time.Parse(time.RFC3339, v)
			return gotText(warehouse.TimeValue(at)), err
		}
		return strconv.Quote(v), nil
	}
	return "", fmt.Errorf("%s is no %s", raw, k)
}

// gotText is the text of a value as a store has it, by which values are compared.
func gotText(v warehouse.Value) string {
	switch v.Kind {
	case warehouse.Bool:
		return strconv.FormatBool(v.Bool())
	case warehouse.Int:
		return strconv.FormatInt(v.N, 10)
	case warehouse.Float:
		return strconv.FormatFloat(v.Float()+0, 'g', -1, 64) // no negative zero
	case warehouse.Time:
		return v.Time().Format(time.RFC3339Nano)
	case warehouse.String:
		return strconv.Quote(v.S)
	case warehouse.JSON:
		text, err := jsonText([]byte(v.S))
		if err != nil {
			return "no JSON: " + strconv.Quote(v.S)
		}
		return text
	}
	return "NULL"
}

// jsonText is JSON with keys in order and numbers by value.
func jsonText(raw []byte) (string, error) {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	text, err := json.Marshal(plainNumbers(v))
	return string(text), err
}

func plainNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = plainNumbers(v[key])
		}
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	case json.Number:
		if r, ok := new(big.Rat).SetString(v.String()); ok {
			return json.RawMessage(strings.TrimSuffix(strings.TrimRight(r.FloatString(400), "0"), "."))
		}
	}
	return v
}
