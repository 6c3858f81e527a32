package main

import "slices"

var ecommerce = family{
	Package: "ecommerce",
	Title:   "E-commerce",
	Intro: "Version 2 of the specification. Names of version 1 are accepted by `ecommerce.Canonical`. Amounts of money are in whole units of " +
		"`currency`, an ISO 4217 code that is USD when absent. How coupons and discounts enter them is up to the sender; " +
		"some tools take `total` or `revenue`, not both.",
	Groups: []group{
		{"Browsing", browsing},
		{"Promotions", promotions},
		{"Ordering", ordering},
		{"Coupons", coupons},
		{"Wishlists", wishlists},
		{"Sharing and reviewing", sharing},
	},
	Shapes: []shape{
		{"Product", "is a product: an item of a list, or what an event is about.", []field{
			str("product_id", "is the id of the product in the database."),
			str("sku", "is the public id of the product. It may equal ProductID."),
			str("category", "is the category of the product."),
			str("name", "is the name of the product."),
			str("brand", "is the brand of the product."),
			str("variant", "tells the kinds of one product apart, like a colour."),
			num("price", "is the price of one, in the event's currency."),
			num("quantity", "is how many there are."),
			str("coupon", "is the code of a coupon for this product."),
			num("position", "is the product's place in the list. The specification does not say whether it begins with 0 or 1."),
			str("url", "is the address of the product's page."),
			str("image_url", "is the address of a picture of the product."),
		}},
		{"Filter", "is a condition on a list of products.", []field{
			str("type", "is what is filtered by, like \"price\"."),
			str("value", "is what the list is narrowed to."),
		}},
		{"Sort", "is an order of a list of products.", []field{
			str("type", "is what is sorted by, like \"price\"."),
			str("value", "is the direction, like \"desc\"."),
		}},
	},
	LegacyKeys: []legacyKey{
		{"id", "product_id"},
		{"orderId", "order_id"},
	},
}

var (
	orderID    = str("order_id", "is the id of the order.")
	cartID     = str("cart_id", "is the id of the cart.")
	checkoutID = str("checkout_id", "is the id of the checkout.")
	listID     = str("list_id", "is the id of the list.")
	category   = str("category", "is the category of the products in the list.")
	listed     = many("products", "Product", "are the products in the list.")
	cart       = many("products", "Product", "are all items of the cart.")
)

// money is what events of an order have in common. What counts as revenue differs
// from event to event.
func money(revenue string) []field {
	return []field{
		num("shipping", "is the cost of shipping."),
		num("tax", "is the sum of taxes."),
		num("discount", "is the sum of discounts."),
		str("coupon", "is the code of a coupon for the order."),
		str("currency", "is the currency of all amounts, as ISO 4217 has it. Readers take absence for USD."),
		str("affiliation", "is the store that the order comes from."),
		num("revenue", "is the revenue "+revenue),
	}
}

// order puts the fields of an order together.
func order(first []field, revenue string) []field {
	return slices.Concat(first, money(revenue), []field{cart})
}

const (
	withoutCosts  = "without shipping and tax."
	withDiscounts = "is the revenue with discounts and coupons applied."
)

var browsing = []event{
	{"Products Searched", "", "somebody has searched for products.", []field{
		str("query", "is what was searched for. A query that is an object goes into Extra."),
	}},
	{"Product List Viewed", "Viewed Product Category", "somebody has seen a list or a category of products.",
		[]field{listID, category, listed}},
	{"Product List Filtered", "", "somebody has narrowed or sorted a list of products.", []field{
		listID, category,
		many("filters", "Filter", "are the conditions in force."),
		many("sorts", "Sort", "are the orders in force."),
		listed,
	}},
}

var promotion = []field{
	str("promotion_id", "is the id of the promotion."),
	str("creative", "is the design of the promotion, like \"top_banner_2\"."),
	str("name", "is the name of the promotion."),
	str("position", "is the place of the promotion, like \"home_banner_top\"."),
}

var promotions = []event{
	{"Promotion Viewed", "Viewed Promotion", "somebody has seen a promotion.", promotion},
	{"Promotion Clicked", "Clicked Promotion", "somebody has clicked on a promotion.", promotion},
}

var checkoutStep = []field{
	checkoutID,
	num("step", "is the number of the step."),
	str("shipping_method", "is the chosen way of shipping."),
	str("payment_method", "is the chosen way of payment."),
}

var ordering = []event{
	{"Product Clicked", "Clicked Product", "somebody has clicked on a product.", []field{embedded("Product")}},
	{"Product Viewed", "Viewed Product", "somebody has seen the details of a product.", []field{
		embedded("Product"),
		str("currency", "is the currency of all amounts, as ISO 4217 has it. Readers take absence for USD."),
		num("value", "is the price of as many products as Quantity says."),
	}},
	{"Product Added", "Added Product", "somebody has put a product into the cart.", []field{cartID, embedded("Product")}},
	{"Product Removed", "Removed Product", "somebody has taken a product out of the cart.", []field{cartID, embedded("Product")}},
	{"Cart Viewed", "", "somebody has looked into the cart.", []field{cartID, cart}},
	{"Checkout Started", "Started Order", "somebody has begun to check out.",
		order([]field{orderID, num("value", withDiscounts)}, withoutCosts)},
	{"Checkout Step Viewed", "Viewed Checkout Step", "somebody has seen a step of the checkout.", checkoutStep},
	{"Checkout Step Completed", "Completed Checkout Step", "somebody has completed a step of the checkout.", checkoutStep},
	{"Payment Info Entered", "", "somebody has said how to pay.", slices.Concat(checkoutStep, []field{orderID})},
	{"Order Updated", "Updated Order", "an order has changed.",
		order([]field{orderID, num("total", withDiscounts)}, withoutCosts)},
	{"Order Completed", "Completed Order", "an order is complete.",
		order([]field{checkoutID, orderID,
			num("subtotal", "is what is to pay after discounts, before shipping and tax."),
			num("total", "is the sum of Subtotal, Shipping and Tax."),
		}, "with discounts, without shipping and tax.")},
	{"Order Refunded", "", "the money for an order was paid back.", []field{orderID,
		many("products", "Product", "are the items that were refunded."),
	}},
	{"Order Cancelled", "", "an order was cancelled.",
		order([]field{orderID, num("total", withDiscounts)}, withoutCosts)},
}

var (
	couponID   = str("coupon_id", "is the id of the coupon.")
	couponName = str("coupon_name", "is the name of the coupon.")
)

var coupons = []event{
	{"Coupon Entered", "", "somebody has entered a coupon.", []field{orderID, cartID, couponID}},
	{"Coupon Applied", "", "a coupon was accepted.", []field{orderID, cartID, couponID, couponName,
		num("discount", "is the amount that the coupon saves."),
	}},
	{"Coupon Denied", "", "a coupon was refused.", []field{orderID, cartID, couponID, couponName,
		str("reason", "is why the coupon was refused."),
	}},
	{"Coupon Removed", "", "a coupon was taken off.", []field{orderID, cartID, couponID, couponName,
		num("discount", "is the amount that the coupon had saved."),
	}},
}

var wishlist = []field{
	str("wishlist_id", "is the id of the wishlist."),
	str("wishlist_name", "is the name of the wishlist."),
	embedded("Product"),
}

var wishlists = []event{
	{"Product Added to Wishlist", "", "somebody has put a product on a wishlist.", wishlist},
	{"Product Removed from Wishlist", "", "somebody has taken a product off a wishlist.", wishlist},
	{"Wishlist Product Added to Cart", "", "somebody has put a product of a wishlist into the cart.",
		slices.Concat(wishlist, []field{cartID})},
}

var shared = []field{
	str("share_via", "is the way of sharing, like \"email\"."),
	str("share_message", "is what the sender wrote."),
	str("recipient", "is whom it was shared with."),
}

var sharing = []event{
	{"Product Shared", "", "somebody has shown a product to others. The specification lists no quantity, coupon and position here.",
		slices.Concat(shared, []field{embedded("Product")})},
	{"Cart Shared", "", "somebody has shown the cart to others.", slices.Concat(shared, []field{cartID,
		many("products", "Product", "are the items of the cart. The specification lists their product_id only."),
	})},
	{"Product Reviewed", "", "somebody has written about a product.", []field{
		str("product_id", "is the id of the product in the database."),
		str("review_id", "is the id of the review."),
		str("review_body", "is the text of the review."),
		str("rating", "is the mark that the product got."),
	}},
}
