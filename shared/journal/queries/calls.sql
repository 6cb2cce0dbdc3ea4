-- Lines of calls, the newest first: those that are settled, those that run, and sales that were never called.
-- $start, $end: seconds since the epoch. $kinds: which rows have a line; a call that is settled has none as it arrived.
-- $after_at, $after_event, $after_place: the line behind which to go on; NULL for all.
-- $only_user: whose rows; NULL for all.
-- $call, $ping, $user, $endpoint, $source, $buyer, $number, $status, $arrival, $connected, $converted: what a line has
-- to have; NULL for any.
-- $callers: starts of keyed hashes of who called; NULL for anybody. $buyers: who may have taken it; NULL for anybody.
-- $came_from, $came_to: when a call arrived, in seconds since the epoch; NULL for any time.
-- $most: how many lines.
-- A call is converted, and worth, what it was when it was settled and what its updates have changed.
WITH updated AS (
    SELECT
        call, sum(converted)::BIGINT AS converted, sum(revenue_cents)::BIGINT AS revenue_cents,
        sum(payout_cents)::BIGINT AS payout_cents
    FROM all_rows WHERE kind = 'update' GROUP BY call
),
lines AS (
    SELECT
        all_rows.* REPLACE (
            all_rows.converted + coalesce(updated.converted, 0) AS converted,
            all_rows.revenue_cents + coalesce(updated.revenue_cents, 0) AS revenue_cents,
            all_rows.payout_cents + coalesce(updated.payout_cents, 0) AS payout_cents
        )
    FROM all_rows LEFT JOIN updated ON all_rows.call = updated.call AND all_rows.kind = 'call'
)
SELECT
    event, place, "at", kind, call, ping, endpoint, offer, version, "user", source, area_code, number, provider,
    arrived_at, arrival, dialed::VARCHAR, buyer, connected_at, seconds, status, detail, converted, revenue_cents,
    payout_cents, sold_at, caller
FROM lines
WHERE "at" >= $start AND "at" < $end
    AND list_contains($kinds::VARCHAR[], kind)
    AND (kind != 'arrived' OR call NOT IN (SELECT call FROM all_rows WHERE kind = 'call'))
    AND ($after_at IS NULL OR "at" < $after_at OR ("at" = $after_at AND (event, place) < ($after_event, $after_place)))
    AND ($only_user IS NULL OR "user" = $only_user)
    AND ($call IS NULL OR call = $call)
    AND ($ping IS NULL OR ping = $ping)
    AND ($user IS NULL OR "user" = $user)
    AND ($endpoint IS NULL OR endpoint = $endpoint)
    AND ($source IS NULL OR source = $source)
    AND ($buyer IS NULL OR buyer = $buyer)
    AND ($number IS NULL OR number = $number)
    AND ($status IS NULL OR status = $status)
    AND ($arrival IS NULL OR arrival = $arrival)
    AND ($connected IS NULL OR (connected_at > 0) = $connected)
    AND ($came_from IS NULL OR arrived_at >= $came_from)
    AND ($came_to IS NULL OR arrived_at < $came_to)
    AND ($callers IS NULL OR list_contains($callers::VARCHAR[], caller))
    AND ($buyers IS NULL OR list_contains($buyers::BIGINT[], buyer))
    AND ($converted IS NULL OR (converted = 1) = $converted)
ORDER BY "at" DESC, event DESC, place DESC
LIMIT $most
