package dest

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/tributary-dev/analytics/ecommerce"
)

// Products returns the items of an order: those of properties.products that are
// objects. Nil if that is no list.
func Products(properties map[string]any) []map[string]any {
	list := Of(properties[ecommerce.PropertyProducts]).List()
	if list == nil {
		return nil
	}
	products := make([]map[string]any, 0, len(list))
	for _, one := range list {
		if p := Of(one).Object(); p != nil {
			products = append(products, p)
		}
	}
	return products
}

// Currency returns an ISO 4217 code in upper case. ok is false if there is none, or one
// that does not exist.
func Currency(v Value) (code string, ok bool) {
	s, _ := v.Text()
	s = strings.ToUpper(strings.TrimSpace(s))
	if len(s) != 3 || strings.ContainsAny(s, " ") {
		return "", false
	}
	return s, strings.Contains(currencies, " "+s+" ")
}

// RoundCents returns an amount with at most two decimals, absent if it is no number.
func RoundCents(amount float64) Value {
	cents := math.Round(amount * 100)
	if math.IsNaN(cents) || math.IsInf(cents, 0) {
		return Value{}
	}
	if cents == 0 {
		return Int(0) // and not -0
	}
	return Float(cents / 100)
}

// Sum returns price times quantity, a missing quantity counts as one. ok is false if
// there is no price.
func Sum(price, quantity Value) (amount float64, ok bool) {
	p, ok := price.Float()
	if !ok {
		return 0, false
	}
	if q, ok := quantity.Float(); ok {
		p *= q
	}
	return p, !math.IsInf(p, 0)
}

// WholeNumber returns v rounded to an integer, if it is a number that fits into 53
// bits.
func WholeNumber(v Value) (json.Number, bool) {
	f, ok := v.Float()
	if f = math.Round(f); !ok || math.Abs(f) > 1<<53 {
		return "", false
	}
	return json.Number(strconv.FormatInt(int64(f), 10)), true
}

// currencies are the active codes of ISO 4217.
const currencies = " AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD " +
	"CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF " +
	"GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD " +
	"MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR " +
	"RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX " +
	"USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG "
