package main

// What the shop takes is in four currencies, so a sum needs rates. These are made up; a
// real shop has a table of them. Without a rate of each order there is no sum: sum() alone
// would leave the order out.
const rates = `
rates (currency, eur) AS (VALUES ('EUR', 1.0), ('USD', 0.92), ('GBP', 1.17), ('JPY', 0.0061)),
orders AS (
	SELECT user_id, timestamp, revenue * eur AS eur
	FROM order_completed LEFT JOIN rates USING (currency)
)`

// revenueByHour reads the one table that the event Order Completed has for itself. Times
// are text in UTC, which the functions of SQLite read.
const revenueByHour = `
WITH ` + rates + `
SELECT
	CAST(strftime('%H', timestamp) AS INTEGER) AS hour,
	count(*),
	CASE WHEN count(eur) = count(*) THEN sum(eur) END AS revenue
FROM orders
GROUP BY hour ORDER BY hour`

// funnel reads the table that all track calls share. A visitor is a user as far as one is
// known: an anonymous id belongs to the last user that it was identified as. A step counts
// for those who took the steps before it earlier.
const funnel = `
WITH identified AS (
	SELECT anonymous_id, user_id AS known, max(timestamp)
	FROM identifies
	WHERE anonymous_id IS NOT NULL AND user_id IS NOT NULL
	GROUP BY anonymous_id
),
steps AS (
	SELECT coalesce(user_id, known, anonymous_id) AS visitor, event, timestamp AS at
	FROM tracks LEFT JOIN identified USING (anonymous_id)
),
viewed AS (
	SELECT visitor, min(at) AS since FROM steps
	WHERE event = 'product_viewed' GROUP BY visitor
),
added AS (
	SELECT visitor, min(at) AS since FROM steps JOIN viewed USING (visitor)
	WHERE event = 'product_added' AND at > viewed.since GROUP BY visitor
),
started AS (
	SELECT visitor, min(at) AS since FROM steps JOIN added USING (visitor)
	WHERE event = 'checkout_started' AND at > added.since GROUP BY visitor
),
completed AS (
	SELECT visitor, min(at) AS since FROM steps JOIN started USING (visitor)
	WHERE event = 'order_completed' AND at > started.since GROUP BY visitor
)
SELECT
	(SELECT count(*) FROM viewed),
	(SELECT count(*) FROM added),
	(SELECT count(*) FROM started),
	(SELECT count(*) FROM completed)`

// topUsers joins what somebody did with who it is: users has the newest value of each
// trait, whichever call brought it, and accounts the same of each company.
const topUsers = `
WITH ` + rates + `,
member AS (
	SELECT user_id, group_id, max(timestamp) FROM groups WHERE user_id IS NOT NULL GROUP BY user_id
)
SELECT
	orders.user_id,
	coalesce(users.email, '-'),
	coalesce(users.loyalty_tier, '-'),
	coalesce(accounts.plan, '-'),
	count(*),
	CASE WHEN count(eur) = count(*) THEN sum(eur) END AS revenue
FROM orders
LEFT JOIN users ON users.id = orders.user_id
LEFT JOIN member ON member.user_id = orders.user_id
LEFT JOIN accounts ON accounts.id = member.group_id
WHERE orders.user_id IS NOT NULL
GROUP BY orders.user_id ORDER BY revenue DESC, orders.user_id LIMIT 5`

// calls are the rows of the tables that have one for each call, by its type.
const calls = `
SELECT 'identify', count(*) FROM identifies UNION ALL
SELECT 'track', count(*) FROM tracks UNION ALL
SELECT 'page', count(*) FROM pages UNION ALL
SELECT 'screen', count(*) FROM screens UNION ALL
SELECT 'group', count(*) FROM groups UNION ALL
SELECT 'alias', count(*) FROM aliases`
