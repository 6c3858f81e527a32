package analyticstest

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// Server is a scripted stand-in for Segment's Tracking API and its OAuth token
// host. It judges requests as the documents say the real API does, records
// what it accepted and rejected, and can be told to fail in the ways networks
// fail.
//
// Reach it over [Server.Transport] (in memory, fit for testing/synctest), as an
// [http.Handler], or over a loopback listener with [Server.Start]. Inside a
// synctest bubble, create it there too. All methods may be called concurrently.
type Server struct {
	closed    chan struct{} // closed by Close; ends every wait
	closeOnce sync.Once

	mu       sync.Mutex
	rules    Rules
	script   script
	respond  func(*Request) Reply
	records  records
	tokens   tokens
	listener net.Listener
	http     *http.Server
	serving  sync.WaitGroup // the accept loop, connections and handlers of Start
}

// NewServer answers one request after another with the given statuses, then
// 200 for ever. A 2xx in the script means: judge the request as the real API
// does, and if it passes answer with that status.
func NewServer(statuses ...int) *Server {
	s := &Server{closed: make(chan struct{})}
	s.SetRules(Rules{})
	s.records.reset()
	s.tokens.init()
	s.Script(Statuses(statuses...)...)
	return s
}

// Rules say how the server judges. Zero values are the documented ones.
type Rules struct {
	// WriteKeys are the accepted write keys. Empty accepts any non-empty key.
	WriteKeys []string

	// Prefix is a path in front of /v1 and /token, as a custom proxy has it.
	Prefix string

	// MaxBatch is the largest decoded body, in bytes, of a batch request.
	// Zero means 500,000, the strict reading of "500 KB".
	MaxBatch int

	// MaxMessage is the largest message, in bytes, alone or inside a batch.
	// Zero means 32,768: "32 KB" is read generously when accepting. A message
	// above 32,000 bytes is a violation all the same, as clients should keep
	// to the strict reading.
	MaxMessage int

	// MaxMessages is the most messages of one batch. Zero means 2,500. The
	// real API answers 200 to a longer batch and rejects all of it.
	MaxMessages int

	// DropLargeMessage rejects only the message above MaxMessage and answers
	// 200, instead of answering the whole batch with 400. The documents allow
	// either reading; 400 is the stricter for a client.
	DropLargeMessage bool

	// RejectAll, if set, is the code with which every message is rejected
	// under a 200, such as "source_disabled" or "locked_workspace".
	RejectAll string

	// ClockSkew is how far the server's clock is ahead of the real one
	// (negative: behind). It shows in the Date header and in how the claims
	// and the age of tokens are judged, but not in Request.Time.
	ClockSkew time.Duration

	// IDsOnly keeps no headers, bodies and messages, only a short log entry for
	// each request and sixteen bytes of hash for each messageId. Meant for runs
	// of millions of messages.
	IDsOnly bool

	// OAuth rules the token endpoint and bearer tokens at ingestion.
	OAuth OAuthRules
}

// The documented limits. "KB" is nowhere defined; see Rules.
const (
	defaultMaxBatch    = 500_000
	defaultMaxMessage  = 32 << 10
	defaultMaxMessages = 2_500
	strictMaxMessage   = 32_000
	maxMessageID       = 100 // characters
)

// SetRules replaces the rules for requests that arrive from now on. The server
// keeps the slices and maps inside; do not change them afterwards.
func (s *Server) SetRules(r Rules) {
	if r.MaxBatch == 0 {
		r.MaxBatch = defaultMaxBatch
	}
	if r.MaxMessage == 0 {
		r.MaxMessage = defaultMaxMessage
	}
	if r.MaxMessages == 0 {
		r.MaxMessages = defaultMaxMessages
	}
	r.OAuth = r.OAuth.withDefaults()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = r
}

// Script appends steps to those given to [NewServer]. Each request to a path
// other than the token endpoint takes one, in order of arrival.
func (s *Server) Script(replies ...Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script.add(replies)
}

// Respond asks f about every request once the script is used up, so behaviour
// can follow the clock or the content: an outage of five seconds is a f that
// looks at Request.Time. A zero Reply judges as usual. f is called without
// locks held, concurrently for concurrent requests; nil removes it.
func (s *Server) Respond(f func(r *Request) Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.respond = f
}

// now is the server's idea of the time.
func (r Rules) now() time.Time { return time.Now().Add(r.ClockSkew) }
