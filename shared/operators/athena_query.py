"""A report as a query for Athena, ready to paste: over the table of days that the stack makes, without percentiles."""

from datetime import UTC, datetime

from shared.journal.reports import Question, is_of_buyers

CLOCK = "at_timezone(from_unixtime(moment), {zone})"
KEYS = {
    "hour": f"date_format({CLOCK}, '%Y-%m-%d %H:00')",
    "day": f"date_format({CLOCK}, '%Y-%m-%d')",
    "week": f"date_format({CLOCK}, '%x-W%v')",
    "month": f"date_format({CLOCK}, '%Y-%m')",
}
"""Of groups of time; other groups are columns."""
QUERY = """\
SELECT
    {columns}
FROM (SELECT *, {moment} AS moment FROM days WHERE day BETWEEN {first} AND {last}) AS dated
WHERE moment >= {start} AND moment < {end}{only_user}{groups}
ORDER BY {order}
LIMIT {limit}"""
NUMBERS = """\
count_if(kind IN ('ping', 'refused')) AS requests,
    count_if(kind = 'ping') AS pings,
    count_if(kind = 'ping' AND bids = 0) AS unmatched,
    count_if(kind = 'refused') AS refused,
    sum(IF(kind = 'ping', bids, 0)) AS bids,
    count_if(kind = 'sale') AS sales,{revenue}
    sum(IF(kind IN ('sale', 'call'), payout_cents, 0)) AS payout_cents"""
REVENUE = "\n    sum(IF(kind IN ('sale', 'call'), revenue_cents, 0)) AS revenue_cents,"


def write_query(question: Question) -> str:
    """Empty where it would need the buyers of each version, which the table does not have."""
    if is_of_buyers(question):
        return ""
    keys = [f'{KEYS[name].format(zone=quote(question.zone))} AS "{name}"' if name in KEYS else f'"{name}"'
            for name in question.by]  # fmt: skip
    start, end = question.period.start, question.period.end
    numbers = NUMBERS.format(revenue=REVENUE if question.only_user is None else "")
    places = ", ".join(str(place) for place in range(1, len(keys) + 1))
    return QUERY.format(
        columns=",\n    ".join([*keys, numbers]),
        moment='"at"' if question.dated_by == "event" else 'IF(sold_at = 0, "at", sold_at)',
        first=quote(_day(start)),
        last=quote(_day(end - 1)),
        start=start,
        end=end,
        only_user="" if question.only_user is None else f' AND "user" = {quote(question.only_user)}',
        groups=f"\nGROUP BY {places}" if keys else "",
        order=places or "1",
        limit=question.limit,
    )


def quote(text: str) -> str:
    """As a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _day(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"
