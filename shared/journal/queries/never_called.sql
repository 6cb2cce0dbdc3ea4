-- Sales to which no call came, by user, traffic source and buyer, the most first.
-- $start, $end: when they were sold, in seconds since the epoch. $only_user: whose; NULL for all.
-- $last: how many of them are given. $most: how many lines.
-- `sales` are those of which it is known: a call came, or none until the end of the hold.
WITH sold AS (
    SELECT
        ping,
        any_value(endpoint) AS endpoint,
        any_value("user") AS user_name,
        any_value(source) AS source_name,
        max(buyer) FILTER (kind IN ('sale', 'never_called')) AS buyer_id,
        max(sold_at) AS sold_at,
        bool_or(kind IN ('arrived', 'call')) AS was_called,
        bool_or(kind = 'never_called') AND NOT was_called AS was_never_called
    FROM all_rows
    WHERE kind IN ('sale', 'never_called', 'arrived', 'call') AND ping != '' AND sold_at >= $start AND sold_at < $end
        AND ($only_user IS NULL OR "user" = $only_user)
    GROUP BY ping
)
SELECT
    user_name, source_name, coalesce(buyer_id, 0),
    count(*) FILTER (was_called OR was_never_called) AS sales,
    count(*) FILTER (was_never_called) AS never_called,
    arg_max({'sold_at': sold_at, 'endpoint': endpoint, 'ping': ping}, sold_at, $last) FILTER (was_never_called) AS newest
FROM sold
GROUP BY user_name, source_name, buyer_id
HAVING never_called > 0
ORDER BY never_called DESC, user_name, source_name, buyer_id
LIMIT $most
