-- $callers: starts of keyed hashes. $pings: ids of pings. $until: the last second that counts.
SELECT DISTINCT call FROM all_rows
WHERE call != '' AND "at" <= $until AND (list_contains($callers, caller) OR list_contains($pings, ping))
