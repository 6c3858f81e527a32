package shop_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/analyticstest"
	"github.com/tributary-dev/analytics/examples/testing/shop"
)

var tent = []shop.Line{{SKU: "tent-2p", Quantity: 1, Cents: 24900}, {SKU: "peg", Quantity: 8, Cents: 150}}

// Which events does a checkout make?
func TestCheckout(t *testing.T) {
	client, rec := analyticstest.Record(t)
	s := shop.Shop{Events: client}

	require.NoError(t, s.Checkout(t.Context(), "u-42", "o-1", tent))

	analyticstest.Flush(t, client)
	orders := rec.Named("Order Completed")
	require.Len(t, orders, 1)
	require.Equal(t, "u-42", orders[0].UserID)
	require.Equal(t, json.Number("261"), orders[0].Properties["revenue"])
	require.Equal(t, "EUR", orders[0].Properties["currency"])
	require.Len(t, orders[0].Properties["products"], 2)

	users := rec.Calls(analytics.CallIdentify)
	require.Len(t, users, 1)
	require.Equal(t, true, users[0].Traits["big_spender"])
}

func TestAnEmptyCartTracksNothing(t *testing.T) {
	client, rec := analyticstest.Record(t)
	s := shop.Shop{Events: client}

	require.ErrorIs(t, s.Checkout(t.Context(), "u-42", "o-1", nil), shop.ErrEmpty)
	require.Error(t, s.Refund(t.Context(), "u-42", ""))

	analyticstest.Flush(t, client)
	require.Empty(t, rec.Events())
}

// Is an order safe while the endpoint is down? In synctest the outage takes no time.
func TestOrdersOutliveAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, srv := analyticstest.NewClient(t)
		back := time.Now().Add(10 * time.Minute)
		srv.Respond(func(r *analyticstest.Request) analyticstest.Reply {
			if r.Time.Before(back) {
				return analyticstest.Reply{Status: 503}
			}
			return analyticstest.Reply{}
		})
		s := shop.Shop{Events: client}

		require.NoError(t, s.Checkout(t.Context(), "u-42", "o-1", tent[1:]))
		require.NoError(t, s.Refund(t.Context(), "u-42", "o-1"))

		time.Sleep(15 * time.Minute) // on the fake clock
		require.Equal(t, 2, srv.Unique())
		require.Zero(t, srv.Duplicates())
	})
}

// What does the shop do when nothing can be accepted any more?
func TestAShopWithoutAnalyticsStillSells(t *testing.T) {
	client, rec := analyticstest.Record(t)
	require.NoError(t, client.Close(t.Context()))
	s := shop.Shop{Events: client}

	require.NoError(t, s.Checkout(t.Context(), "u-42", "o-1", tent))
	require.Empty(t, rec.Events())
}
