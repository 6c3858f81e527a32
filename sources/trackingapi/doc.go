// Package trackingapi receives what Segment's clients send, in any language and on any
// device: the HTTP Tracking API, the Pixel API, the Querystring API, the Objects API and
// the settings that browser and mobile libraries ask for. A Go service with its [Handler]
// is a collection endpoint of one's own:
//
//	h, err := trackingapi.New(trackingapi.Config{
//		Keys: trackingapi.Keys{"my-write-key": {Name: "web", Client: client}},
//	})
//	http.Handle("/", h)
//
// A request is answered with 200 once the client has accepted every valid message of it;
// with a spool they survive the process from then on. Messages that are not valid are
// discarded, counted and told to OnDiscard, and do not keep the others from being
// accepted, as at Segment. A messageId is accepted once within a [Window], so that
// clients may send again whatever they are not sure of.
package trackingapi
