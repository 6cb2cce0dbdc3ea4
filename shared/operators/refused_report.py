"""Who sends what is refused: by traffic source, with the names of fields and the last refusals."""

from collections.abc import Mapping

from msgspec import Struct

from shared.domain import keys
from shared.domain.readers import Reader
from shared.operators import journal_rows, reports
from shared.operators.access import Office
from shared.operators.reports import Wanted

LAST = 10
MOST_SOURCES = 500


class Refusal(Struct, frozen=True):
    """One request: `ping_id` opens it in the log, `at` is in seconds since the epoch."""

    ping_id: str
    at: int
    endpoint: str
    status: str
    fields: list[str]


class RefusedSource(Struct, frozen=True, kw_only=True):
    """What a user's traffic source sent: `requests` in all, of which `refused` were refused. `statuses` and `fields`
    say how often each occurred; `last` are its last ten refusals, the newest first."""

    user: str
    source: str
    requests: int
    refused: int
    refused_percent: float
    statuses: dict[str, int]
    fields: dict[str, int]
    last: list[Refusal]


class RefusedReport(Struct, frozen=True, kw_only=True):
    """From `start` to before `end`, seconds since the epoch. `sources` is how many there are; `items` has those with
    the most refusals."""

    start: int
    end: int
    zone: str
    items: list[RefusedSource]
    sources: int
    refused: int


def read_refused(office: Office, reader: Reader, wanted: Wanted) -> RefusedReport:
    """A publisher's has its own. Raises `NotValid`, and `Refused` where a file cannot be read."""
    period, zone = reports.read_period(office, wanted)
    with journal_rows.open_period(office, period) as database:
        found = database.ask(
            "refused.sql",
            {
                "start": period.start,
                "end": period.end,
                "only_user": reader.limited_to,
                "last": LAST,
                "most": MOST_SOURCES,
            },
        )

    def public_id(endpoint: str, raw: str) -> str:
        return keys.ping_id(office.records.keys, endpoint, bytes.fromhex(raw))

    items = [
        RefusedSource(
            user=user,
            source=source,
            requests=requests,
            refused=refused,
            refused_percent=round(100 * refused / requests, 2),
            statuses=_most_first(statuses),
            fields=_most_first(fields),
            last=[
                Refusal(
                    public_id(each["endpoint"], each["ping"]),
                    each["at"],
                    each["endpoint"],
                    each["status"],
                    each["fields"],
                )
                for each in newest
            ],
        )
        for user, source, requests, refused, statuses, fields, newest, *_ in found
    ]
    sources, refused = (int(found[0][7]), int(found[0][8])) if found else (0, 0)
    return RefusedReport(start=period.start, end=period.end, zone=zone, items=items, sources=sources, refused=refused)


def _most_first(counts: Mapping[str, int] | None) -> dict[str, int]:
    return dict(sorted((counts or {}).items(), key=lambda pair: (-pair[1], pair[0])))
