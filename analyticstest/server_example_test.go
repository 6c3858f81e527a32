package analyticstest_test

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tributary-dev/analytics/analyticstest"
)

func ExampleNewServer() {
	srv := analyticstest.NewServer(503) // then 200 for ever
	client := http.Client{Transport: srv.Transport()}
	for range 2 {
		r, _ := http.NewRequest(http.MethodPost, srv.URL()+"/v1/batch", strings.NewReader(
			`{"batch":[{"type":"track","messageId":"1","userId":"u"},{"type":"page","messageId":"2","userId":"u"}]}`))
		r.Header.Set("Content-Type", "application/json")
		r.SetBasicAuth("write key", "")
		res, err := client.Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = res.Body.Close()
		fmt.Println(res.Status)
	}
	fmt.Println(srv.Requests(), "requests,", srv.Unique(), "message")
	fmt.Println(srv.Rejected()[0].Code)
	// Output:
	// 503 Service Unavailable
	// 200 OK
	// 2 requests, 1 message
	// event_not_defined
}

func ExampleServer_Respond() {
	srv := analyticstest.NewServer()
	over := time.Now().Add(5 * time.Second)
	srv.Respond(func(r *analyticstest.Request) analyticstest.Reply {
		if r.Time.Before(over) {
			return analyticstest.Reply{Status: 503} // an outage of five seconds
		}
		return analyticstest.Reply{}
	})
}
