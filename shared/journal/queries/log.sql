-- Lines of the log, the newest first: PINGs with what became of them, refused requests, and sales.
-- $start, $end: seconds since the epoch. $kinds: which rows have a line. $now: when a ping that expires is expired.
-- $after_at, $after_event, $after_place: the line behind which to go on; NULL for all.
-- $only_user: whose rows; NULL for all. $callers: hashes of a caller, by which any row finds its ping; NULL for all.
-- $ping, $user, $endpoint, $source, $state, $status, $buyer, $number, $outcome: what a line has to have; NULL for any.
-- $most: how many lines.
-- A sale is worth what is owed for it and for its calls.
WITH worth AS (
    SELECT ping, sum(revenue_cents)::BIGINT AS revenue_cents, sum(payout_cents)::BIGINT AS payout_cents
    FROM all_rows WHERE kind IN ('sale', 'call') AND ping != '' GROUP BY ping
),
sales AS (
    SELECT ping, buyer, worth.revenue_cents, worth.payout_cents, number, sold_at
    FROM all_rows JOIN worth USING (ping) WHERE kind = 'sale'
),
-- A FULL that is sent again is priced again under the same id: only the last of its PINGs was sold.
sold_pings AS (
    SELECT ping, max(("at", event)) AS priced FROM all_rows
    WHERE kind = 'ping' AND ping IN (SELECT ping FROM sales) GROUP BY ping
),
listed AS (
    SELECT all_rows.* FROM all_rows
    WHERE "at" >= $start AND "at" < $end
        AND list_contains($kinds::VARCHAR[], kind)
        AND ($after_at IS NULL OR "at" < $after_at OR ("at" = $after_at AND (event, place) < ($after_event, $after_place)))
        AND ($only_user IS NULL OR "user" = $only_user)
        AND ($ping IS NULL OR ping = $ping)
        AND ($user IS NULL OR "user" = $user)
        AND ($endpoint IS NULL OR endpoint = $endpoint)
        AND ($source IS NULL OR source = $source)
        AND ($state IS NULL OR state = $state)
        AND ($status IS NULL OR status = $status)
        AND ($buyer IS NULL OR buyer = $buyer)
        AND ($number IS NULL OR number = $number)
        AND ($callers IS NULL OR ping IN (
            SELECT ping FROM all_rows WHERE list_contains($callers::VARCHAR[], caller)
        ))
),
lines AS (
    SELECT
        listed.* REPLACE (
            coalesce(sales.buyer, 0) AS buyer,
            coalesce(sales.revenue_cents, 0) AS revenue_cents,
            coalesce(sales.payout_cents, 0) AS payout_cents,
            coalesce(sales.number, '') AS number,
            coalesce(sales.sold_at, 0) AS sold_at
        ),
        CASE
            WHEN kind = 'refused' THEN 'refused'
            WHEN sales.ping IS NOT NULL THEN 'sold'
            WHEN bids = 0 THEN 'unmatched'
            WHEN expires_at > $now THEN 'open'
            ELSE 'expired'
        END AS outcome
    FROM listed
        LEFT JOIN sold_pings ON listed.ping = sold_pings.ping
        LEFT JOIN sales ON listed.ping = sales.ping
            AND (kind = 'sale' OR (kind = 'ping' AND (listed."at", listed.event) = sold_pings.priced))
)
SELECT
    event, place, "at", kind, outcome, status, ping, endpoint, offer, "user", source, state, area_code, bids, best_bid_cents,
    best_payout_cents, revenue_cents, payout_cents, buyer, sold_at, number, fields, milliseconds, version, expires_at,
    reasons
FROM lines
WHERE $outcome IS NULL OR outcome = $outcome
ORDER BY "at" DESC, event DESC, place DESC
LIMIT $most
