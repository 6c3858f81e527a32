package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/tributary-dev/analytics"
)

// What the shop is told by its surroundings.
const (
	dirEnv      = "SHOP_SPOOL"
	endpointEnv = "SHOP_ENDPOINT"
	firstEnv    = "SHOP_FIRST" // the first order that it does not know to be tracked
)

// orders is how many there are in all.
const orders = 2000

// shop is the program that gets killed. It tells its standard output what it does, one
// line each, and closes when its standard input ends.
func shop() error {
	client, err := analytics.New(analytics.Config{
		WriteKey: "spool",
		Endpoint: os.Getenv(endpointEnv),
		// This is all that it takes: what a call has accepted is in this directory when
		// the call returns, and the next process that opens it delivers what is left.
		Spool:         analytics.Spool{Dir: os.Getenv(dirEnv)},
		FlushInterval: 20 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	fmt.Println(found, client.Stats().Destinations[analytics.IntegrationSegment].Pending)

	stop := make(chan struct{})
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		close(stop)
	}()
	if err := sell(client, stop); err != nil {
		return err
	}
	<-stop

	// A short deadline is enough: what cannot be delivered by then stays in the spool.
	// Without a spool it would be lost.
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	err = client.Close(ctx)
	if pending := (*analytics.PendingError)(nil); errors.As(err, &pending) {
		fmt.Println(left, pending.Destinations[analytics.IntegrationSegment].Events)
		return nil
	}
	return err
}

// sell tracks an order each millisecond.
func sell(client *analytics.Client, stop chan struct{}) error {
	first, err := strconv.Atoi(os.Getenv(firstEnv))
	if err != nil {
		return err
	}
	for n := first; n < orders; n++ {
		select {
		case <-stop:
			return nil
		case <-time.After(time.Millisecond):
		}
		id := fmt.Sprintf("o-%d", n)
		err := client.Track(context.Background(), analytics.Track{
			// If we are killed between this call and the note below, the next process
			// tracks the order again; with an id of its own it still counts once.
			MessageID:  "completed " + id,
			UserID:     fmt.Sprintf("u-%d", n%50),
			Event:      "Order Completed",
			Properties: analytics.Properties{"order_id": id}.SetRevenue(19.95).SetCurrency("EUR"),
		})
		if err != nil {
			return err
		}
		fmt.Println(tracked, n)
	}
	return nil
}
