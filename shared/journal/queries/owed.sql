-- Makes the view `owed`: each row of a sale, a call or an update, once for its publisher and once for its buyer.
-- `key` tells a row from all others. `moment` is when what it belongs to was sold; without a sale, when it happened.
CREATE OR REPLACE VIEW owed AS
WITH counted AS (
    SELECT
        event, place, kind, "at", call, ping, endpoint, offer, "user", buyer, arrived_at, converted, revenue_cents,
        payout_cents, detail,
        md5_number_lower(event || '#' || place) AS key,
        CASE WHEN sold_at = 0 THEN "at" ELSE sold_at END AS moment
    FROM all_rows WHERE kind IN ('sale', 'call', 'update')
)
SELECT *, 'publisher:' || "user" AS party, endpoint AS line, payout_cents AS cents FROM counted WHERE "user" != ''
UNION ALL
SELECT *, 'buyer:' || buyer AS party, offer AS line, revenue_cents AS cents FROM counted WHERE buyer != 0
