package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// jetStore is a NATS server without a listener, with a stream on files that is a work
// queue. Events are published asynchronously and an append waits for all of them; a
// consumer that pulls acknowledges each.
type jetStore struct {
	server   *server.Server
	conn     *nats.Conn
	js       jetstream.JetStream
	consumer jetstream.Consumer
	acks     []jetstream.PubAckFuture
	done     []jetstream.Msg // read, not committed
}

// jetTimeout is how long the server may take for one answer.
const jetTimeout = 20 * time.Second

func openJetStream(o options) (store, error) {
	s, err := server.NewServer(&server.Options{
		DontListen: true, JetStream: true, StoreDir: o.dir, JetStreamMaxStore: 1 << 40, JetStreamMaxMemory: 1 << 30,
		SyncAlways: o.synced, NoLog: true, NoSigs: true,
	})
	if err != nil {
		return nil, err
	}
	s.Start()
	j := &jetStore{server: s}
	if err := j.connect(); err != nil {
		return nil, errors.Join(err, j.close())
	}
	return j, nil
}

func (j *jetStore) connect() (err error) {
	if !j.server.ReadyForConnections(jetTimeout) {
		return errors.New("the server did not start")
	}
	if j.conn, err = nats.Connect("", nats.InProcessServer(j.server)); err != nil {
		return err
	}
	if j.js, err = jetstream.New(j.conn, jetstream.WithPublishAsyncMaxPending(4096), jetstream.WithPublishAsyncTimeout(jetTimeout)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), jetTimeout)
	defer cancel()
	stream, err := j.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: "events", Subjects: []string{"events"}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage,
	})
	if err != nil {
		return err
	}
	// A new consumer gets what an earlier one had not acknowledged at once and in order.
	if err := stream.DeleteConsumer(ctx, "drain"); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return err
	}
	j.consumer, err = stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: "drain", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Hour, MaxAckPending: -1,
	})
	return err
}

func (j *jetStore) append(batch [][]byte) error {
	j.acks = j.acks[:0]
	for _, e := range batch {
		ack, err := j.js.PublishAsync("events", append([]byte(nil), e...))
		if err != nil {
			return err
		}
		j.acks = append(j.acks, ack)
	}
	for _, ack := range j.acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return err
		case <-time.After(jetTimeout):
			return errors.New("no answer to a publication")
		}
	}
	return nil
}

// sync has nothing to do: a server that was opened for it syncs before it answers.
func (j *jetStore) sync() error { return nil }

func (j *jetStore) read(limit int) (out [][]byte, err error) {
	batch, err := j.consumer.FetchNoWait(limit)
	if err != nil {
		return nil, err
	}
	for m := range batch.Messages() {
		j.done = append(j.done, m)
		out = append(out, m.Data())
	}
	return out, batch.Error()
}

func (j *jetStore) commit() error {
	ctx, cancel := context.WithTimeout(context.Background(), jetTimeout)
	defer cancel()
	for i, m := range j.done {
		var err error
		if i < len(j.done)-1 {
			err = m.Ack()
		} else {
			err = m.DoubleAck(ctx) // waits, and so for the ones before
		}
		if err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
	}
	clear(j.done)
	j.done = j.done[:0]
	return nil
}

func (j *jetStore) close() error {
	if j.conn != nil {
		j.conn.Close()
	}
	j.server.Shutdown()
	j.server.WaitForShutdown()
	return nil
}
