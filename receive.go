package analytics

import (
	"context"
	"errors"
	"time"
	"unicode/utf8"
)

// ErrDuplicate is returned by [Client.EnqueueJSON] for a message that Inbound.Claim has
// seen before.
var ErrDuplicate = errors.New("analytics: duplicate message")

// Inbound is what a receiver of other clients' messages knows beside the messages: about
// the request, and what it says for all of them. It is read only and may serve any
// number of calls.
type Inbound struct {
	// Call is the type of messages that name none.
	Call Call

	// ReceivedAt is when the request came. Zero means now.
	ReceivedAt time.Time

	// SentAt and Timestamp are those of the batch, for messages without their own.
	SentAt, Timestamp time.Time

	// Context and Integrations are those of the batch; what a message gives wins.
	Context      *Context
	Integrations Integrations

	// IP is the address of the peer. It becomes context.ip of messages without one that
	// ask for it with context.direct, and of those that leave it open and come from the
	// device of a user: which were not sent by one of the libraries for servers.
	IP string

	// Claim is asked for each message before it is accepted, with its messageId; false
	// refuses it with [ErrDuplicate]. What was claimed and then not accepted has to be
	// released by the caller, who learns of it by the error. The id is valid during the
	// call only. Nil claims everything.
	Claim func(messageID string) bool

	// NoWait returns [ErrQueueFull] at once, also where Config.WhenFull is Block: while a
	// call waits its messageId is claimed, and the sender's next try a duplicate of what
	// may still fail.
	NoWait bool
}

// EnqueueJSON takes a message as the JSON that another client has sent. It is what
// receivers are made of: unlike [Client.Enqueue] with an [Event], it decodes nothing that
// it need not, adds neither Config.Context nor the ids of ctx, and does not wait for the
// disk whatever Spool.Sync says: call [Client.Settle] behind the last message of a
// request.
//
// The message becomes one of this side: originalTimestamp is its timestamp, timestamp is
// corrected by the skew of the client's clock (receivedAt - (sentAt - originalTimestamp)),
// and receivedAt, a messageId where there is none, and context.ip are added. A writeKey is
// left out; keys that nobody knows stay. Numbers keep their digits.
//
// The errors are those of Enqueue, and [ErrDuplicate]. message is read during the call
// only.
func (c *Client) EnqueueJSON(ctx context.Context, message []byte, in *Inbound) error {
	if in == nil {
		in = &Inbound{}
	}
	if ctx == nil {
		ctx = context.Background()
	}
	buf := buffers.Get().(*buffer)
	defer buf.release()
	now := time.Now()
	flags, err := c.receive(message, in, buf, now)
	if err == nil && len(c.cfg.Plugins) > 0 {
		flags, err = c.plug(ctx, buf, now, c.nothing)
	}
	if err == nil && len(buf.b) > maxEventBytes {
		err = invalid("message", "has %d bytes of JSON, the limit is %d", len(buf.b), maxEventBytes)
	}
	if err == nil && in.NoWait {
		if err = c.log.append(now.UnixMilli(), flags, buf.b); errors.Is(err, ErrQueueFull) {
			c.refused.Add(1)
		}
		return err
	}
	if err == nil {
		return c.admit(ctx, now, flags, buf.b)
	}
	if dropped := (*dropError)(nil); errors.As(err, &dropped) {
		c.filtered.Add(1)
		return nil
	}
	return err
}

// receive encodes a message that was received into buf: by copying its parts where it
// is an ordinary one, else by decoding it. Both make the same event.
func (c *Client) receive(message []byte, in *Inbound, buf *buffer, now time.Time) (recordFlags, error) {
	var p parts
	if in.Context == nil && in.Integrations == nil && p.scan(text(message)) && utf8.Valid(message) {
		if times, ok := p.complete(in, now); ok {
			id := p.begin(buf, in, now)
			if in.Claim != nil && !in.Claim(id) {
				return 0, ErrDuplicate
			}
			return p.append(buf, in, times), nil
		}
	}
	return c.receiveOdd(message, in, buf, now)
}
