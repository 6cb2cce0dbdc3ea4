-- The same of days that are counted in cubes: to the quarter of an hour.
WITH counted AS (
    SELECT "user", buyer, CASE WHEN sold_at = 0 THEN "at" ELSE sold_at END AS moment
    FROM cube_rows WHERE kind IN ('sale', 'call', 'update')
),
owed AS (
    SELECT 'publisher:' || "user" AS party, moment FROM counted WHERE "user" != ''
    UNION ALL
    SELECT 'buyer:' || buyer, moment FROM counted WHERE buyer != 0
)
SELECT party, min(moment) FROM owed WHERE moment < $end AND ($party IS NULL OR party = $party) GROUP BY party
