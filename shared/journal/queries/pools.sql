-- $begins, $ends, $seconds: when the zone is so many seconds from UTC. $only_pool: NULL for all.
-- A sale that saw all of the pool in use has the pool's overflow number.
WITH spans AS (
    SELECT unnest($begins::BIGINT[]) AS begins, unnest($ends::BIGINT[]) AS ends, unnest($seconds::BIGINT[]) AS utc_offset
),
asked AS (
    SELECT "at", pool, pool_used, kind = 'sale' AND pool_used < 100 AS has_number FROM all_rows
    WHERE pool != '' AND ($only_pool IS NULL OR pool = $only_pool)
        AND (kind = 'sale' OR (kind = 'refused' AND status = 'no_number_available'))
)
SELECT
    greatest(begins, ("at" + utc_offset) // 3600 * 3600 - utc_offset) AS hour,
    pool,
    count(*) FILTER (has_number)::BIGINT,
    count(*) FILTER (NOT has_number)::BIGINT,
    round(avg(pool_used))::BIGINT,
    max(pool_used)
FROM asked JOIN spans ON "at" >= begins AND "at" < ends
GROUP BY hour, pool
ORDER BY hour, pool
