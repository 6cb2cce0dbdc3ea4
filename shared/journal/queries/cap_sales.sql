-- $places, $buyers, $starts, $endpoints: which sales are wanted at each place; an empty endpoint is all of them.
WITH wanted AS (
    SELECT
        unnest($places::BIGINT[]) AS place,
        unnest($buyers::BIGINT[]) AS buyer,
        unnest($starts::BIGINT[]) AS start,
        unnest($endpoints::VARCHAR[]) AS endpoint
)
SELECT wanted.place, count(*) AS sales, sum(best_bid_cents)::BIGINT AS cents
FROM all_rows JOIN wanted ON all_rows.buyer = wanted.buyer AND sold_at >= wanted.start
    AND (wanted.endpoint = '' OR wanted.endpoint = all_rows.endpoint)
WHERE kind = 'sale'
GROUP BY wanted.place
