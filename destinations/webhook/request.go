package webhook

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// keyDigits is how much of a hash the Idempotency-Key of a list is.
const keyDigits = 32

func (d *Destination) idempotencyKey(b *analytics.Batch) string {
	if !d.Batch {
		return headerText(b.Items[0].ID)
	}
	var ids strings.Builder
	for i := range b.Items {
		ids.WriteString(b.Items[i].ID)
	}
	return dest.Hash(ids.String())[:keyDigits]
}

// headerText is s if a header can carry it, else its hash: messageIds may be anything.
func headerText(s string) string {
	if isHeaderText(s) {
		return s
	}
	return dest.Hash(s)[:keyDigits]
}

func (d *Destination) sign(header http.Header, body []byte) {
	if d.SharedSecret == "" {
		return
	}
	header.Set("X-Signature", d.mac(sha1.New, body))
	header.Set("X-Signature-256", d.mac(sha256.New, body))
}

func (d *Destination) mac(h func() hash.Hash, body []byte) string {
	mac := hmac.New(h, []byte(d.SharedSecret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// ours are the headers that the request has by itself.
var ours = []string{
	"Connection", "Content-Encoding", "Content-Length", "Host", "Idempotency-Key", "Transfer-Encoding", "User-Agent",
	"X-Signature", "X-Signature-256",
}

func (d *Destination) checkHeaders(faults *dest.Faults) {
	for _, name := range slices.Sorted(maps.Keys(d.Headers)) {
		switch {
		case !isToken(name):
			faults.Add("Headers", "%q is not the name of a header", name)
		case slices.Contains(ours, http.CanonicalHeaderKey(name)):
			faults.Add("Headers", "%s is set by the destination", name)
		case !isHeaderText(d.Headers[name]):
			faults.Add("Headers", "%s has a value that is not printable ASCII", name)
		}
	}
}

func isToken(s string) bool {
	const allowed = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return s != "" && strings.Trim(s, allowed) == ""
}

func isHeaderText(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// networkError finds what does not pass by itself: a certificate that is not accepted,
// an address that is not allowed.
func networkError(err error) error {
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) || errors.Is(err, errPrivate) {
		return analytics.Unauthorized(err)
	}
	return err
}

var errPrivate = errors.New("the host has a private address, which DenyPrivate forbids")

// guard returns a client that connects to public addresses only. It looks at the address
// that is about to be connected to, so that a name cannot resolve to another one in
// between, and goes through no proxy, which would do the resolving.
func guard(client *http.Client) (*http.Client, error) {
	from := client.Transport
	if from == nil {
		from = http.DefaultTransport
	}
	transport, ok := from.(*http.Transport)
	if !ok {
		return client, fmt.Errorf("needs an HTTP client over an *http.Transport")
	}
	transport = transport.Clone()
	transport.Proxy = nil
	transport.DialTLS, transport.DialTLSContext = nil, nil //nolint:staticcheck // the first is deprecated, and still asked
	transport.DialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Control: onlyPublic}).DialContext
	guarded := *client
	guarded.Transport = transport
	return &guarded, nil
}

func onlyPublic(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return errPrivate
	}
	ip := at.Addr().Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		return errPrivate
	}
	return nil
}

// notPublic are further networks whose addresses lead somewhere else than they say: that
// of carriers (RFC 6598), and those that stand for IPv4 addresses (RFC 6052, RFC 8215).
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
}
