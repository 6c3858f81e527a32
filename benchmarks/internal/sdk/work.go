package sdk

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// The work: one Track with a user and six properties.
const (
	UserID = "user-42"
	Event  = "Order Completed"
)

// Properties returns the six properties of the work. Nobody changes them, so that
// all calls share one map: what a caller does to make his own is not measured.
func Properties() map[string]any {
	return map[string]any{
		"orderId": "ord-7741", "currency": "EUR", "revenue": 39.95, "quantity": 3, "gift": true,
		"shipping": map[string]any{"carrier": "DHL", "express": false, "cost": 4.95},
	}
}

// Order is Properties as a type that appends its own JSON, as generated code does.
type Order struct {
	ID, Currency string
	Revenue      float64
	Quantity     int
	Gift         bool
	Carrier      string
	Express      bool
	Cost         float64
}

// TheOrder has the values of Properties.
func TheOrder() *Order {
	return &Order{ID: "ord-7741", Currency: "EUR", Revenue: 39.95, Quantity: 3, Gift: true, Carrier: "DHL", Cost: 4.95}
}

// AppendJSON appends the order. Its strings need no escaping.
func (o *Order) AppendJSON(b []byte) ([]byte, error) {
	b = append(append(append(b, `{"orderId":"`...), o.ID...), `","currency":"`...)
	b = append(append(b, o.Currency...), `","revenue":`...)
	b = append(strconv.AppendFloat(b, o.Revenue, 'f', -1, 64), `,"quantity":`...)
	b = append(strconv.AppendInt(b, int64(o.Quantity), 10), `,"gift":`...)
	b = append(strconv.AppendBool(b, o.Gift), `,"shipping":{"carrier":"`...)
	b = append(append(b, o.Carrier...), `","express":`...)
	b = append(strconv.AppendBool(b, o.Express), `,"cost":`...)
	return append(strconv.AppendFloat(b, o.Cost, 'f', -1, 64), "}}"...), nil
}

// ID is the nth id of a run with ids of its own: a UUID, as all libraries take it.
func ID(n int) string { return fmt.Sprintf("00000000-0000-7000-8000-%012d", n) }

// Clock is started and stopped; *testing.B is one.
type Clock interface {
	StartTimer()
	StopTimer()
}

// Stopwatch is a Clock that adds up.
type Stopwatch struct {
	Elapsed time.Duration
	started time.Time
}

// StartTimer starts it.
func (s *Stopwatch) StartTimer() { s.started = time.Now() }

// StopTimer stops it.
func (s *Stopwatch) StopTimer() { s.Elapsed += time.Since(s.started) }

// Saturate calls from so many goroutines, as fast as they can, until n calls were
// accepted, and returns how many were refused. The clock runs while they call; it
// includes the time for which calls block. Where a call is refused, all goroutines
// stop, and the clock with them, until there is room again.
func Saturate(c Client, goroutines, n int, call func(Client) error, clock Clock) (refused int, err error) {
	for accepted := 0; accepted < n; {
		round := saturation{client: c, call: call}
		round.left.Store(int64(n - accepted))
		clock.StartTimer()
		var wg sync.WaitGroup
		for range goroutines {
			wg.Go(round.run)
		}
		wg.Wait()
		clock.StopTimer()
		if round.err.Load() != nil {
			return refused, *round.err.Load()
		}
		accepted += int(round.accepted.Load())
		refused += int(round.refused.Load())
		if accepted < n {
			waitForRoom(c)
		}
	}
	return refused, nil
}

type saturation struct {
	client            Client
	call              func(Client) error
	left              atomic.Int64
	accepted, refused atomic.Int64
	full              atomic.Bool
	err               atomic.Pointer[error]
}

// portion is how many calls a goroutine takes at a time, so that counting them
// costs nothing.
const portion = 64

func (s *saturation) run() {
	accepted := 0
	defer func() { s.accepted.Add(int64(accepted)) }()
	for !s.full.Load() {
		left := s.left.Add(-portion)
		for range min(portion, left+portion) {
			switch err := s.call(s.client); err {
			case nil:
				accepted++
			case ErrRefused:
				s.refused.Add(1)
				s.full.Store(true)
				return
			default:
				s.err.Store(&err)
				return
			}
		}
		if left <= 0 {
			return
		}
	}
}

func waitForRoom(c Client) {
	for !c.Idle() {
		time.Sleep(time.Millisecond)
	}
}
