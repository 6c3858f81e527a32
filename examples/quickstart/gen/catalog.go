package main

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// category is a shelf of the shop.
type category struct{ name, slug string }

type product struct {
	id, sku, name, brand string
	category             category
	euroCents            int64
	variants             []string
}

var (
	tents     = category{"Tents", "tents"}
	sleeping  = category{"Sleeping Bags & Mats", "sleeping"}
	packs     = category{"Backpacks", "backpacks"}
	footwear  = category{"Footwear", "footwear"}
	jackets   = category{"Jackets", "jackets"}
	cooking   = category{"Camp Kitchen", "kitchen"}
	climbing  = category{"Climbing", "climbing"}
	lights    = category{"Lights & Power", "lights"}
	bargains  = category{"Black Week", "black-week"}
	shelves   = []category{tents, sleeping, packs, footwear, jackets, cooking, climbing, lights, bargains}
	shoeSizes = []string{"EU 38", "EU 40", "EU 42", "EU 44"}
	sizes     = []string{"S", "M", "L", "XL"}
)

var catalog = []product{
	{"10021", "TNT-KAR-2", "Karhula 2 Tunnel Tent", "Fjellvind", tents, 38900, []string{"moss", "rust"}},
	{"10022", "TNT-KAR-4", "Karhula 4 Family Tent", "Fjellvind", tents, 64900, []string{"moss"}},
	{"10024", "TNT-SPR-1", "Sprite 1 Trekking-Pole Tent", "Tarn & Tor", tents, 27995, []string{"sand", "slate"}},
	{"10027", "TRP-SEG-3", "Segel Tarp 3 × 3 m", "Nordkamm", tents, 8990, []string{"olive", "ember"}},
	{"10101", "SLP-DUN-0", "Dúnn Down Bag 0 °C", "Hlíð", sleeping, 24900, []string{"regular", "long"}},
	{"10102", "SLP-DUN-15", "Dúnn Down Bag −15 °C", "Hlíð", sleeping, 41900, []string{"regular", "long"}},
	{"10105", "MAT-LUF-5", "Luftikus Air Mat R 5.2", "Nordkamm", sleeping, 15995, []string{"regular", "wide"}},
	{"10108", "PIL-NUB", "Nubes Travel Pillow", "Altocielo", sleeping, 2490, []string{"fog"}},
	{"10201", "BPK-RID-55", "Ridgewalker 55 Pack", "Cairnworks", packs, 21900, []string{"S/M", "L/XL"}},
	{"10202", "BPK-RID-35", "Ridgewalker 35 Pack", "Cairnworks", packs, 16900, []string{"S/M", "L/XL"}},
	{"10205", "BPK-KOM-18", "Komorebi 18 Daypack", "Yamakaze", packs, 9490, []string{"cedar", "ink"}},
	{"10207", "BAG-DRY-20", "Otter Dry Bag 20 l", "Tarn & Tor", packs, 2295, []string{"yellow", "clear"}},
	{"10301", "SHO-GRT-M", "Gratstein GTR Mountain Boot", "Nordkamm", footwear, 28995, shoeSizes},
	{"10302", "SHO-LIB-T", "Libélula Trail Runner", "Altocielo", footwear, 13900, shoeSizes},
	{"10304", "SHO-TSU-A", "Tsubame Approach Shoe", "Yamakaze", footwear, 15490, shoeSizes},
	{"10306", "SOC-MER-3", "Merino Hiking Socks, 3 pairs", "Cairnworks", footwear, 3690, shoeSizes},
	{"10401", "JKT-STO-3L", "Stormvåg 3L Shell", "Fjellvind", jackets, 34900, sizes},
	{"10402", "JKT-DAU-L", "Daunling Light Down Jacket", "Nordkamm", jackets, 18995, sizes},
	{"10403", "JKT-BRU-W", "Bruma Wind Shirt", "Altocielo", jackets, 8900, sizes},
	{"10406", "JKT-HAI-P", "Hail Mary Poncho", "Tarn & Tor", jackets, 4990, []string{"one size"}},
	{"10501", "STV-IGN-1", "Ignis Gas Stove", "Cairnworks", cooking, 6490, []string{"standard"}},
	{"10502", "POT-TIT-9", "Titanium Pot 0.9 l", "Yamakaze", cooking, 5990, []string{"standard"}},
	{"10504", "MUG-ENA", "Enamel Mug “Sørpå”", "Fjellvind", cooking, 1490, []string{"white", "blue", "speckled"}},
	{"10506", "FIL-AQU-1", "Aquila Water Filter", "Altocielo", cooking, 4295, []string{"standard"}},
	{"10601", "ROP-VIA-60", "Via 9.5 mm Rope 60 m", "Hlíð", climbing, 17900, []string{"teal", "orange"}},
	{"10602", "HAR-LIN", "Linnet Harness", "Tarn & Tor", climbing, 7490, sizes},
	{"10604", "HEL-NUT", "Nutshell Helmet", "Cairnworks", climbing, 6995, []string{"S/M", "L/XL"}},
	{"10606", "CAR-SET-6", "Carabiner Set of 6", "Nordkamm", climbing, 5490, []string{"mixed"}},
	{"10701", "LMP-HOT-400", "Hotaru 400 Headlamp", "Yamakaze", lights, 5990, []string{"black", "lime"}},
	{"10702", "LMP-CAM", "Glød Camp Lantern", "Fjellvind", lights, 4490, []string{"warm"}},
	{"10704", "SOL-PAN-21", "Sunfold 21 W Solar Panel", "Cairnworks", lights, 9900, []string{"standard"}},
	{"10706", "PWR-20K", "Granit Power Bank 20 Ah", "Nordkamm", lights, 6990, []string{"grey"}},
}

func (p product) price(in *currency) money { return money{in.fromEuroCents(p.euroCents), in} }

func (p product) path() string { return "/p/" + strings.ToLower(p.sku) }

// on says whether the product is on the shelf. The bargains are a part of all.
func (p product) on(c category) bool {
	if c == bargains {
		return p.euroCents%1000 == 900
	}
	return p.category == c
}

func shelf(c category) []product {
	var list []product
	for _, p := range catalog {
		if p.on(c) {
			list = append(list, p)
		}
	}
	return list
}

// brief is a product as an item of a list, which begins at position 1.
func (p product) brief(in *currency, position int) object {
	return object{"product_id": p.id, "sku": p.sku, "name": p.name, "price": p.price(in), "position": position}
}

// detail is a product with everything the shop knows of it.
func (l line) detail(in *currency) object {
	p := l.product
	return object{
		"product_id": p.id, "sku": p.sku, "name": p.name, "brand": p.brand, "category": p.category.name,
		"variant": l.variant, "quantity": l.quantity, "price": p.price(in), "currency": in.code,
		"url": shopURL + p.path(), "image_url": "https://images.example.com/" + p.id + ".webp",
	}
}

// lineItems is the products array of carts and orders.
func lineItems(lines []line, in *currency) []object {
	items := []object{}
	for i, l := range lines {
		item := l.product.brief(in, i+1)
		item["brand"], item["category"] = l.product.brand, l.product.category.name
		item["variant"], item["quantity"] = l.variant, l.quantity
		items = append(items, item)
	}
	return items
}

// sizeChart is a table, and a good test of nested arrays.
var sizeChart = [][]any{{"EU", "UK", "US"}, {38, 5, 7.5}, {40, 6.5, 9}, {42, 8, 8.5}, {44, 9.5, 10.5}}

// query is what somebody types, which is anything. An empty language is any.
type query struct{ language, text string }

var queries = []query{
	{"", "🏕️ 2p"}, {"", "50% off\\sale"}, {"", "<b>boots</b> & socks"}, {"", "powerbank"}, {"", "gift 🎁 < 50"},
	{"en", "2 person tent"}, {"en", "3-layer \"hard shell\""}, {"en", "women's rain jacket"}, {"en", "trail shoes 42"},
	{"de", "schlafsack -15°C"}, {"de", "Küche für 👨‍👩‍👧‍👦"}, {"de", "stirnlampe"}, {"de", "größentabelle schuhe"},
	{"fr", "tente ultralégère"}, {"fr", "réchaud"}, {"es", "botas de montaña"}, {"es", "saco de dormir"},
	{"nl", "regenjas"}, {"nl", "tent 4 personen"}, {"fi", "makuupussi"}, {"fi", "retkikeitin"},
	{"ja", "寝袋 冬用"}, {"ja", "ヘッドライト"}, {"ja", "テント 2人用"},
}

// nextQuery takes turns among the queries in the language of the locale, so that
// the day has each of the odd ones.
func (sh *shop) nextQuery(locale string) string {
	i := slices.IndexFunc(sh.queries, func(q query) bool { return strings.HasPrefix(locale, q.language) })
	q := sh.queries[i]
	sh.queries = append(slices.Delete(sh.queries, i, i+1), q)
	return q.text
}

// praise is what longDescription is made of.
var praise = []string{
	"The fly is cut from one piece of siliconised ripstop, so there is no seam above your head that could let in water.",
	"Wind tunnel: stable up to 104 km/h from the side, “a little more” from the front.",
	"Bögen aus 8,5 mm starkem Aluminium, farblich markiert – der Aufbau dauert keine fünf Minuten.",
	"Deux entrées, deux absides : l'une pour les chaussures mouillées, l'autre pour le café.",
	"La cámara interior cuelga del techo exterior y puede quedarse en casa en verano.",
	"収納時は直径15cm、長さ42cm。自転車のハンドルにも載せられます。",
	"Repairs are free for ten years; after that we charge for the material only.",
	"Care: never wash it in the machine, dry it <em>before</em> you put it away, and keep it out of the sun when you can.",
	"Sisäteltta on hengittävää polyamidia, ja pohja kestää 5 000 mm vesipatsaan.",
}

// longDescription is about 5 KB of text in many languages, as somebody pasted it
// into the product page.
func longDescription(r *rand.Rand) string {
	var b strings.Builder
	for b.Len() < 5000 {
		b.WriteString(pick(r, praise))
		b.WriteString(pick(r, []string{" ", " ", "\n", "\n\n\t• "}))
	}
	return b.String()
}
