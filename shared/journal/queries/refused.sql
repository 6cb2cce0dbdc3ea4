-- Who sends what is refused: by user and traffic source, the most first.
-- $start, $end: seconds since the epoch. $only_user: whose rows; NULL for all. $last: how many refusals are given.
-- $most: how many lines.
WITH chosen AS NOT MATERIALIZED (
    SELECT * FROM all_rows
    WHERE kind IN ('ping', 'refused') AND "at" >= $start AND "at" < $end
        AND ($only_user IS NULL OR "user" = $only_user)
),
named AS (SELECT "user", source, unnest(fields) AS field FROM chosen WHERE kind = 'refused'),
by_field AS (SELECT "user", source, histogram(field) AS fields FROM named GROUP BY ALL),
counted AS (
    SELECT
        "user", source,
        count(*) AS requests,
        count(*) FILTER (kind = 'refused') AS refused,
        histogram(status) FILTER (kind = 'refused') AS statuses,
        arg_max({'at': "at", 'endpoint': endpoint, 'ping': ping, 'status': status, 'fields': fields}, "at", $last)
            FILTER (kind = 'refused') AS newest
    FROM chosen GROUP BY ALL HAVING refused > 0
)
SELECT
    counted."user", counted.source, requests, refused, statuses, fields, newest,
    count(*) OVER () AS found, sum(refused) OVER () AS refused_in_all
FROM counted LEFT JOIN by_field ON counted."user" = by_field."user" AND counted.source = by_field.source
ORDER BY refused DESC, counted."user", counted.source
LIMIT $most
