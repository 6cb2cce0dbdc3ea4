-- What the rows of a group have in common.
CREATE TEMP MACRO key_of(
    name, clock, seconds, offer, endpoint, buyer_id, user_name, source, state, area_code, status, reason
) AS CASE name
    WHEN 'hour' THEN strftime(clock, '%Y-%m-%dT%H:00')
        || CASE WHEN seconds < 0 THEN '-' ELSE '+' END
        || strftime(make_timestamp(abs(seconds) * 1000000), '%H:%M')
    WHEN 'day' THEN strftime(clock, '%Y-%m-%d')
    WHEN 'week' THEN strftime(clock, '%G-W%V')
    WHEN 'month' THEN strftime(clock, '%Y-%m')
    WHEN 'offer' THEN offer
    WHEN 'endpoint' THEN endpoint
    WHEN 'buyer' THEN CASE WHEN buyer_id = 0 THEN '' ELSE buyer_id::VARCHAR END
    WHEN 'user' THEN user_name
    WHEN 'source' THEN source
    WHEN 'state' THEN state
    WHEN 'area_code' THEN area_code
    WHEN 'status' THEN status
    WHEN 'reason' THEN reason
END;
