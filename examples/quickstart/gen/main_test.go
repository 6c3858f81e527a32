package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// The tests read what is committed, as a user of the quickstart does, and know
// nothing of how it was made.

const testdata = "../testdata"

// recorded is a message as it was read, with numbers as they are written.
type recorded struct {
	file string
	line int
	raw  []byte
	at   time.Time
	object
}

func (m recorded) String() string { return fmt.Sprintf("%s:%d", m.file, m.line) }

func (m recorded) text(key string) string { s, _ := m.object[key].(string); return s }

func (m recorded) is(event string) bool { return m.text("event") == event }

func (m recorded) part(key string) object { o, _ := m.object[key].(object); return o }

func read(t *testing.T) []recorded {
	t.Helper()
	var all []recorded
	for _, name := range []string{"web.ndjson", "app.ndjson", "server.ndjson"} {
		data, err := os.ReadFile(filepath.Join(testdata, name))
		if err != nil {
			t.Fatal(err)
		}
		for i, raw := range bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n")) {
			all = append(all, parse(t, name, i+1, raw))
		}
	}
	return all
}

func parse(t *testing.T, file string, line int, raw []byte) recorded {
	t.Helper()
	m := recorded{file: file, line: line, raw: raw}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&m.object); err != nil {
		t.Fatalf("%s: %v", m, err)
	}
	at, err := time.Parse("2006-01-02T15:04:05.000Z", m.text("timestamp"))
	if err != nil {
		t.Fatalf("%s: %v", m, err)
	}
	m.at = at
	return m
}

func TestCommittedFilesAreUpToDate(t *testing.T) {
	for _, f := range files() {
		committed, err := os.ReadFile(filepath.Join(testdata, f.name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(committed, f.data) {
			t.Errorf("%s differs: run go run ./quickstart/gen in the folder examples", f.name)
		}
	}
}

func TestSizes(t *testing.T) {
	all := read(t)
	if n := len(all); n < 2400 || n > 3000 {
		t.Errorf("%d messages, want 2400 to 3000", n)
	}
	total := 0
	for _, m := range all {
		total += len(m.raw) + 1
		if len(m.raw) >= 32_000 {
			t.Errorf("%s has %d bytes, want less than 32000", m, len(m.raw))
		}
	}
	if total > 2_500_000 {
		t.Errorf("%d bytes in all, want at most 2500000", total)
	}
}

func TestFilesAreInTimeOrder(t *testing.T) {
	var last recorded
	for _, m := range read(t) {
		if m.at.Before(midnight) || !m.at.Before(midnight.AddDate(0, 0, 1)) {
			t.Errorf("%s is at %s, not on the day", m, m.at)
		}
		if m.file == last.file && m.at.Before(last.at) {
			t.Errorf("%s is earlier than the line before", m)
		}
		last = m
	}
}

func TestMessagesAreValid(t *testing.T) {
	keys := []string{
		"type", "timestamp", "userId", "anonymousId", "previousId", "groupId", "event", "name", "category",
		"properties", "traits", "context", "integrations",
	}
	needs := map[string][]string{
		"identify": {"traits"}, "track": {"event", "properties"}, "page": {"name", "properties"}, "screen": {"name", "properties"},
		"group": {"groupId", "traits"}, "alias": {"userId", "previousId"},
	}
	calls := map[string]int{}
	for _, m := range read(t) {
		calls[m.text("type")]++
		for _, key := range needs[m.text("type")] {
			if m.object[key] == nil {
				t.Errorf("%s has no %s", m, key)
			}
		}
		for key := range m.object {
			if !slices.Contains(keys, key) {
				t.Errorf("%s has the key %s", m, key)
			}
		}
		if m.text("userId") == "" && m.text("anonymousId") == "" {
			t.Errorf("%s has no id", m)
		}
		checkKinds(t, m)
	}
	for call := range calls {
		if needs[call] == nil {
			t.Errorf("there is a call %q", call)
		}
	}
	if len(calls) != len(needs) {
		t.Errorf("calls are %v, want all six", calls)
	}
}

// checkKinds wants each field to be of the kind that the spec gives it.
func checkKinds(t *testing.T, m recorded) {
	t.Helper()
	for key, value := range m.object {
		switch key {
		case "properties", "traits", "context", "integrations":
			if _, ok := value.(object); !ok {
				t.Errorf("%s: %s is no object", m, key)
			}
		default:
			if m.text(key) == "" {
				t.Errorf("%s: %s is empty or no string", m, key)
			}
		}
	}
}

func TestChannelsSendWhatTheirSDKsDo(t *testing.T) {
	needs := map[string][]string{
		"web.ndjson":    {"library", "locale", "timezone", "userAgent", "page"},
		"app.ndjson":    {"library", "locale", "timezone", "app", "device", "os", "network", "screen"},
		"server.ndjson": {"library"},
	}
	for _, m := range read(t) {
		for _, key := range needs[m.file] {
			if m.part("context")[key] == nil {
				t.Errorf("%s has no context.%s", m, key)
			}
		}
		if m.text("type") == "page" != (m.part("properties")["url"] != nil && m.text("event") == "" && m.file == "web.ndjson") {
			t.Errorf("%s: pages, and only those, have a url and come from the web", m)
		}
		if m.text("type") == "screen" && m.file != "app.ndjson" {
			t.Errorf("%s is a screen", m)
		}
	}
}

func TestLandingPagesCarryTheCampaign(t *testing.T) {
	n := 0
	for _, m := range read(t) {
		search, _ := m.part("properties")["search"].(string)
		if m.text("type") != "page" || !strings.Contains(search, "utm_campaign=") {
			continue
		}
		n++
		if c, _ := m.part("context")["campaign"].(object); c["name"] == nil || c["source"] == nil {
			t.Errorf("%s has the campaign %v", m, c)
		}
	}
	if n < 20 {
		t.Errorf("%d landing pages with a campaign, want 20 or more", n)
	}
}

func TestAliasComesBeforeIdentify(t *testing.T) {
	identified := map[string]bool{}
	for _, m := range read(t) {
		switch m.text("type") {
		case "alias":
			if m.text("previousId") != m.text("anonymousId") || identified[m.text("userId")] {
				t.Errorf("%s is not the first mention of a user", m)
			}
		case "identify":
			identified[m.text("userId")] = true
		}
	}
}

// minor is the amount in cents, or in yen.
func minor(t *testing.T, m recorded, currency string, value any) int64 {
	t.Helper()
	r, ok := new(big.Rat).SetString(fmt.Sprint(value))
	if !ok {
		t.Fatalf("%s: %v is no amount", m, value)
	}
	if currency != "JPY" {
		r.Mul(r, big.NewRat(100, 1))
	}
	if !r.IsInt() {
		t.Errorf("%s: %v is no amount in %s", m, value, currency)
	}
	return r.Num().Int64()
}

func TestOrdersAddUp(t *testing.T) {
	currencies := map[string]bool{}
	for _, m := range read(t) {
		p := m.part("properties")
		if p["products"] == nil || p["order_id"] == nil {
			continue
		}
		code := p["currency"].(string)
		currencies[code] = true
		amount := func(key string) int64 { return minor(t, m, code, p[key]) }
		goods := goodsOf(t, m, code)
		equal := func(what string, got, want int64) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %s is %d, want %d", m, what, got, want)
			}
		}
		switch m.text("event") {
		case "Order Completed":
			equal("subtotal", amount("subtotal"), goods-amount("discount"))
			equal("revenue", amount("revenue"), amount("subtotal"))
			equal("total", amount("total"), amount("subtotal")+amount("shipping")+amount("tax"))
		case "Checkout Started":
			equal("revenue", amount("revenue"), goods)
			equal("value", amount("value"), goods-amount("discount"))
		case "Order Refunded":
			equal("revenue", amount("revenue"), goods-amount("discount"))
			equal("total", amount("total"), amount("revenue")+amount("tax"))
		case "Order Updated", "Order Cancelled":
			equal("total", amount("total"), goods-amount("discount"))
		default:
			t.Errorf("%s: no rule for %s", m, m.text("event"))
		}
	}
	if len(currencies) != 4 {
		t.Errorf("currencies are %v, want EUR, USD, GBP and JPY", currencies)
	}
}

// goodsOf is the sum of the products.
func goodsOf(t *testing.T, m recorded, currency string) (sum int64) {
	t.Helper()
	for _, item := range m.part("properties")["products"].([]any) {
		o := item.(object)
		quantity, err := o["quantity"].(json.Number).Int64()
		if err != nil || quantity < 1 {
			t.Errorf("%s: a quantity is %v", m, o["quantity"])
		}
		sum += quantity * minor(t, m, currency, o["price"])
	}
	return sum
}

func TestOrderNumbersNeed64Bits(t *testing.T) {
	completed := map[string]bool{}
	for _, m := range read(t) {
		p := m.part("properties")
		n, ok := p["order_number"].(json.Number)
		if !ok {
			continue
		}
		i, err := n.Int64()
		if err != nil || int64(float64(i)) == i {
			t.Errorf("%s: the order number %s fits into a float64", m, n)
		}
		if p["order_id"] != n.String() {
			t.Errorf("%s: the order is %s and %v", m, n, p["order_id"])
		}
		if m.is("Order Completed") {
			if completed[n.String()] {
				t.Errorf("%s: the order was completed before", m)
			}
			completed[n.String()] = true
		}
	}
}

func TestThreePercentOfSessionsOrder(t *testing.T) {
	seen := map[string]time.Time{}
	step := map[string]int{}
	for _, m := range read(t) {
		if m.file == "server.ndjson" {
			continue
		}
		id := m.text("anonymousId")
		if last, ok := seen[id]; !ok || m.at.Sub(last) > 30*time.Minute {
			step["Session"]++
		}
		seen[id] = m.at
		step[m.text("event")]++
	}
	if part := float64(step["Order Completed"]) / float64(step["Session"]); part < 0.02 || part > 0.04 {
		t.Errorf("%d of %d sessions order, want about 3%%", step["Order Completed"], step["Session"])
	}
	funnel := []string{"Session", "Cart Viewed", "Checkout Started", "Payment Info Entered", "Order Completed"}
	for i, name := range funnel[1:] {
		if step[name] == 0 || step[name] > step[funnel[i]] {
			t.Errorf("%d times %s after %d times %s", step[name], name, step[funnel[i]], funnel[i])
		}
	}
}

func TestOrdersFollowACart(t *testing.T) {
	last := map[string]string{}
	before := map[string][]string{
		"Checkout Started": {"Cart Viewed", "Product Removed"}, "Order Completed": {"Checkout Step Completed"},
	}
	for _, m := range read(t) {
		if m.text("type") != "track" || m.file == "server.ndjson" {
			continue
		}
		event, id := m.text("event"), m.text("anonymousId")
		if want := before[event]; want != nil && !slices.Contains(want, last[id]) {
			t.Errorf("%s: %s after %q, want one of %q", m, event, last[id], want)
		}
		last[id] = event
	}
}

func TestTheDayHasACurve(t *testing.T) {
	var perHour [24]int
	for _, m := range read(t) {
		if m.file != "server.ndjson" { // its nightly jobs are no visitors
			perHour[m.at.Hour()]++
		}
	}
	three := func(h int) int { return perHour[h] + perHour[h+1] + perHour[h+2] }
	night, morning, lunch, afternoon, evening := three(2), three(8), three(11), three(14), three(19)
	if night*5 > evening || lunch <= morning || lunch <= afternoon || evening <= lunch {
		t.Errorf("by hour: %v, want a quiet night, a peak at lunch and a higher one in the evening", perHour)
	}
}

func TestNobodyIsReal(t *testing.T) {
	mail := regexp.MustCompile(`[^\s"@]+@([^\s"@]+)`)
	ip := regexp.MustCompile(`"ip":"([^"]*)"`)
	host := regexp.MustCompile(`https?://([^/"?]+)`)
	documentation := []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32"),
	}
	addresses := 0
	for _, m := range read(t) {
		for _, found := range mail.FindAllSubmatch(m.raw, -1) {
			if !slices.Contains([]string{"example.com", "example.org", "example.net"}, string(found[1])) {
				t.Errorf("%s has the address %s", m, found[0])
			}
		}
		for _, found := range host.FindAllSubmatch(m.raw, -1) {
			if !regexp.MustCompile(`(^|\.)example\.(com|org|net)$`).Match(found[1]) {
				t.Errorf("%s has the host %s", m, found[1])
			}
		}
		for _, found := range ip.FindAllSubmatch(m.raw, -1) {
			addresses++
			a, err := netip.ParseAddr(string(found[1]))
			if err != nil || !slices.ContainsFunc(documentation, func(p netip.Prefix) bool { return p.Contains(a) }) {
				t.Errorf("%s has the IP %s", m, found[1])
			}
		}
	}
	if addresses == 0 {
		t.Error("no message has an IP")
	}
}

func TestAddressesAreOfOnePerson(t *testing.T) {
	owner := map[string]string{}
	for _, m := range read(t) {
		email, _ := m.part("traits")["email"].(string)
		if email == "" || m.text("userId") == "" {
			continue
		}
		if id := owner[email]; id != "" && id != m.text("userId") {
			t.Errorf("%s: %s belongs to %s already", m, email, id)
		}
		owner[email] = m.text("userId")
	}
}

func TestHardValuesAreThere(t *testing.T) {
	var all bytes.Buffer
	long := 0
	for _, m := range read(t) {
		all.Write(m.raw)
		if d, _ := m.part("properties")["description"].(string); len(d) >= 5000 {
			long++
		}
	}
	if long != 1 {
		t.Errorf("%d long descriptions, want 1", long)
	}
	if !utf8.Valid(all.Bytes()) {
		t.Error("not all is UTF-8")
	}
	for _, want := range []string{
		`:null`, `:false`, `:""`, `:{}`, `[[`, `"query":"🏕️ 2p"`, "👨‍👩‍👧‍👦", `<b>`, `\\sale`, `\"hard shell\"`, `松本市`,
	} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no message contains %s", want)
		}
	}
}
