SELECT DISTINCT endpoint, version FROM all_rows WHERE kind = 'ping' AND reasons != '' ORDER BY ALL
