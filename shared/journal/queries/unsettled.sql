-- How often more a ping has begun than ceased to have a live buyer that may know of a sale.
SELECT ping, count(*) FILTER (kind = 'asked') - count(*) FILTER (kind = 'settled') AS balance
FROM all_rows WHERE kind IN ('asked', 'settled') GROUP BY ping
