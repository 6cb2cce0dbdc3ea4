-- The same in groups of buyers or reasons, in which a ping counts once for each buyer, or reason, of its endpoint.
-- $start, $end: seconds since the epoch. $first, $second, $third: names of groups or NULL.
-- $by_buyer: whether buyer is among them; else reason is. $by_event, $only_user, $begins, $ends, $seconds: as in bins.
-- $endpoints, $versions, $places, $buyers: which buyer is at which place of `reasons`, counted from 1.
INSERT INTO bins BY NAME
WITH offsets AS (
    SELECT unnest($begins::BIGINT[]) AS begins, unnest($ends::BIGINT[]) AS ends, unnest($seconds::BIGINT[]) AS utc_offset
),
places AS (
    SELECT
        unnest($endpoints::VARCHAR[]) AS endpoint,
        unnest($versions::BIGINT[]) AS version,
        unnest($places::BIGINT[]) AS place,
        unnest($buyers::BIGINT[]) AS buyer
),
known AS (SELECT DISTINCT endpoint, version FROM places),
dated AS NOT MATERIALIZED (
    SELECT
        * REPLACE (CASE kind WHEN 'call' THEN 'sold' ELSE status END AS status),
        CASE WHEN $by_event OR sold_at = 0 THEN "at" ELSE sold_at END AS moment
    FROM all_rows
    WHERE $only_user IS NULL OR "user" = $only_user
),
chosen AS NOT MATERIALIZED (
    SELECT dated.* EXCLUDE (buyer), dated.buyer AS sold_to, utc_offset,
        make_timestamp((moment + utc_offset) * 1000000) AS clock
    FROM dated JOIN offsets ON moment >= begins AND moment < ends
    WHERE moment >= $start AND moment < $end
),
-- Pings with the same reasons are counted before they become one for each buyer.
alike AS (
    SELECT
        $first IN ('hour', 'day', 'week', 'month') OR $second IN ('hour', 'day', 'week', 'month')
            OR $third IN ('hour', 'day', 'week', 'month') AS by_time,
        CASE WHEN by_time THEN date_trunc('hour', clock) END AS clock,
        CASE WHEN by_time THEN utc_offset END AS utc_offset,
        endpoint, version, reasons, kind, offer, "user", source, state, area_code, status, sold_to, milliseconds,
        bids,
        count(*) AS times,
        sum(revenue_cents) AS revenue,
        sum(payout_cents) AS payout
    FROM chosen WHERE (kind IN ('ping', 'refused', 'sale') OR (kind = 'call' AND (revenue_cents > 0 OR payout_cents > 0)))
    GROUP BY ALL
),
facts AS (
    SELECT
        clock, utc_offset, offer, alike.endpoint, "user", source, state, area_code, status, kind, times, milliseconds,
        CASE WHEN kind IN ('sale', 'call') THEN sold_to ELSE 0 END AS buyer_id,
        CASE WHEN kind IN ('sale', 'call') THEN '.' ELSE '' END AS reason,
        bids, revenue, payout, bids = 0 AS is_unmatched
    FROM alike LEFT JOIN known ON alike.endpoint = known.endpoint AND alike.version = known.version
    WHERE kind != 'ping' OR reasons = '' OR ($by_buyer AND known.endpoint IS NULL)
    UNION ALL
    SELECT
        clock, utc_offset, offer, endpoint, "user", source, state, area_code, status, kind, times, milliseconds,
        0, unnest(list_distinct(string_split(reasons, ''))) AS letter,
        CASE WHEN letter = '.' THEN length(reasons) - length(replace(reasons, '.', '')) ELSE 0 END, 0, 0, bids = 0
    FROM alike WHERE kind = 'ping' AND NOT $by_buyer AND reasons != ''
    UNION ALL
    SELECT
        clock, utc_offset, offer, alike.endpoint, "user", source, state, area_code, status, kind, times, milliseconds,
        places.buyer, substr(reasons, places.place, 1) AS letter, (letter = '.')::BIGINT, 0, 0, bids = 0
    FROM alike JOIN places ON alike.endpoint = places.endpoint AND alike.version = places.version
    WHERE kind = 'ping' AND $by_buyer AND length(reasons) >= places.place
),
answers AS (
    SELECT chosen.* EXCLUDE (status), chosen.status, unnest(from_json(live, '["JSON"]')) AS answer FROM chosen
    WHERE live::VARCHAR != '[]'
),
asked AS (
    SELECT answers.*, (answer ->> 0)::BIGINT AS buyer_id, coalesce(substr(reasons, places.place, 1), '') AS reason
    FROM answers LEFT JOIN places
        ON answers.endpoint = places.endpoint AND answers.version = places.version
            AND (answer ->> 0)::BIGINT = places.buyer
)
SELECT
    'group' AS part,
    key_of($first,
        clock, utc_offset, offer, endpoint, buyer_id, "user", source, state, area_code, status, reason) AS first_key,
    key_of($second,
        clock, utc_offset, offer, endpoint, buyer_id, "user", source, state, area_code, status, reason) AS second_key,
    key_of($third,
        clock, utc_offset, offer, endpoint, buyer_id, "user", source, state, area_code, status, reason) AS third_key,
    CASE WHEN kind = 'ping' THEN nullif(milliseconds, 0) END AS took,
    NULL::BIGINT AS waited,
    coalesce(sum(times) FILTER (kind IN ('ping', 'refused')), 0) AS requests,
    coalesce(sum(times) FILTER (kind = 'ping'), 0) AS pings,
    coalesce(sum(times) FILTER (kind = 'ping' AND is_unmatched), 0) AS unmatched,
    coalesce(sum(times) FILTER (kind = 'refused'), 0) AS refused,
    sum(times * bids) FILTER (kind = 'ping') AS bids,
    coalesce(sum(times) FILTER (kind = 'sale'), 0) AS sales,
    sum(revenue) FILTER (kind IN ('sale', 'call')) AS revenue,
    sum(payout) FILTER (kind IN ('sale', 'call')) AS payout,
    0 AS asked, 0 AS live_bids, 0 AS timed_out, 0 AS declined, 0 AS broken
FROM facts GROUP BY ALL
UNION ALL
SELECT
    'group',
    key_of($first,
        clock, utc_offset, offer, endpoint, buyer_id, "user", source, state, area_code, status, reason) AS first_key,
    key_of($second,
        clock, utc_offset, offer, endpoint, buyer_id, "user", source, state, area_code, status, reason) AS second_key,
    key_of($third,
        clock, utc_offset, offer, endpoint, buyer_id, "user", source, state, area_code, status, reason) AS third_key,
    NULL, nullif((answer ->> 2)::BIGINT, 0) AS waited,
    0, 0, 0, 0, 0, 0, 0, 0,
    count(*),
    count(*) FILTER (answer ->> 1 = 'bid'),
    count(*) FILTER (answer ->> 1 = 'timed_out'),
    count(*) FILTER (answer ->> 1 = 'declined'),
    count(*) FILTER (answer ->> 1 = 'broken')
FROM asked GROUP BY ALL
