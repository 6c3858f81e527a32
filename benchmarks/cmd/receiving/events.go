package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
)

// writeKey is that of the only source.
const writeKey = "wk-receiving"

// idDigits is the width of the number in a messageId, so that bodies can be numbered
// anew without a change of size.
const idDigits = 12

const idPrefix = "api-1767323045-"

// event is what analytics-node makes of an ordinary call: half a kilobyte.
const event = `{"type":"track","messageId":"` + idPrefix + `%0*d","timestamp":"2026-01-02T03:04:05.678Z",` +
	`"userId":"user-42","anonymousId":"4d1d3ff9-9d1f-4f0e-8a7b-0c3e5a1f2b6d","event":"Order Completed",` +
	`"properties":{"orderId":"ord-7741","currency":"EUR","revenue":39.95,"quantity":3,"gift":true,"shipping":{"carrier":"DHL","cost":4.95}},` +
	`"context":{"app":{"name":"shop","version":"4.12.0"},"locale":"de-DE","timezone":"Europe/Berlin","library":{"name":"@segment/analytics-node","version":"2.2.0"}},"integrations":{}}`

// form is a body whose messages are numbered anew for each request.
type form struct {
	body []byte
	ids  []int // offsets of the digits
}

// newForm makes a batch of so many events. With shared, its envelope has a context for
// all of them, as those of analytics-go have.
func newForm(events int, shared bool) *form {
	f := &form{}
	f.body = append(f.body, `{"batch":[`...)
	for i := range events {
		if i > 0 {
			f.body = append(f.body, ',')
		}
		begin := len(f.body)
		f.body = fmt.Appendf(f.body, event, idDigits, 0)
		f.ids = append(f.ids, begin+bytes.Index(f.body[begin:], []byte(idPrefix))+len(idPrefix))
	}
	f.body = append(f.body, `],"writeKey":"`+writeKey+`","sentAt":"2026-01-02T03:04:06.001Z"`...)
	if shared {
		f.body = append(f.body, `,"context":{"library":{"name":"analytics-go","version":"3.0.0"}}`...)
	}
	f.body = append(f.body, '}')
	return f
}

// number makes the first message that of number first, the next one that of the next.
func (f *form) number(first int) []byte {
	for i, at := range f.ids {
		n := first + i
		for d := idDigits - 1; d >= 0; d-- {
			f.body[at+d] = byte('0' + n%10)
			n /= 10
		}
	}
	return f.body
}

// numberOf is the number in a messageId, -1 if it is none of ours.
func numberOf(messageID string) int {
	if len(messageID) != len(idPrefix)+idDigits {
		return -1
	}
	n := 0
	for _, c := range []byte(messageID[len(idPrefix):]) {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// zipped are so many compressed batches of each so many events, one numbered behind the
// other.
func zipped(batches, events int) ([][]byte, error) {
	f := newForm(events, false)
	all := make([][]byte, batches)
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	for i := range all {
		b.Reset()
		w.Reset(&b)
		if _, err := w.Write(f.number(i * events)); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		all[i] = bytes.Clone(b.Bytes())
	}
	return all, nil
}
