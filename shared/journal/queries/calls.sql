-- Lines of calls, the newest first: those that are settled, those that run, and sales that were never called.
-- $start, $end: seconds since the epoch. $kinds: which rows have a line; a call that is settled has none as it arrived.
-- $after_at, $after_event, $after_place: the line behind which to go on; NULL for all.
-- $only_user: whose rows; NULL for all.
-- $call, $ping, $user, $endpoint, $source, $buyer, $number, $status, $arrival, $connected, $converted: what a line has
-- to have; NULL for any.
-- $most: how many lines.
SELECT
    event, place, "at", kind, call, ping, endpoint, offer, version, "user", source, area_code, number, provider,
    arrived_at, arrival, dialed::VARCHAR, buyer, connected_at, seconds, status, detail, converted, revenue_cents,
    payout_cents, sold_at
FROM all_rows
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
    AND ($converted IS NULL OR (converted = 1) = $converted)
ORDER BY "at" DESC, event DESC, place DESC
LIMIT $most
