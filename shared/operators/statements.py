"""Statements of publishers and buyers: what a month is worth, as it is now or as it was closed."""

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.objections import NotFound, NotValid, Refused
from shared.domain.readers import Reader
from shared.domain.statements import SEPARATOR, month_after, party_of, read_party
from shared.journal.fetching import HOUR
from shared.journal.statements import Tally, Wanted
from shared.operators.access import Office
from shared.operators.account import account_zone
from shared.operators.names import buyer_names
from shared.operators.shown_statements import (
    LATE_SECONDS,
    Statement,
    bounds_of,
    describe,
    months_back,
    read_month,
)
from shared.operators.statement_rows import MOST_BYTES, count, first_months
from shared.store.statements import Closing, Statements


class Close(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose statement is closed, and for which month."""

    party: str
    period: str


def list_statements(office: Office, reader: Reader, month: str = "") -> list[Statement]:
    """Those of everybody whom the reader may see and of whom there is something, without lines. Raises `NotValid`, and
    `Refused` where a file cannot be read."""
    month, zone = read_month(office, month), account_zone(office)
    store, only = Statements(office.records.dynamo), own_parties(reader)
    start, end = bounds_of(month, zone)
    closed = {each.party: each for each in store.of_month(month)}
    before = {each.party: each for each in store.of_month(month_after(month, -1)) if each.party not in closed}
    wanted = Wanted(
        start=start,
        end=end,
        party=only[0] if only and len(only) == 1 else None,
        starts={each.party: each.end for each in before.values()},
    )
    tallies = count(office, wanted, before.values())
    found = [describe(office, reader, closing) for closing in closed.values()]
    for party, tally in tallies.items():
        if party not in closed:
            found.append(describe(office, reader, _open(party, month, zone, tally, before.get(party))))
    wished = [each for each in found if only is None or each.party in only]
    return sorted(wished, key=lambda each: (not each.party.startswith("publisher"), each.name, each.party))


def read_statement(office: Office, reader: Reader, party: str, month: str = "") -> Statement:
    """With its lines and corrections. Raises `NotValid`, `NotFound`, also for what the reader may not see, and
    `Refused` where a file cannot be read."""
    check_party(reader, party)
    month, zone = read_month(office, month), account_zone(office)
    closings = find_closings(office, party)
    if closing := next((each for each in closings if each.month == month), None):
        return describe(office, reader, closing, Statements(office.records.dynamo).read(closing))
    if closings and month < closings[0].month:
        raise NotFound(f"The first statement of {party} is that of {closings[0].month}.")
    due = month_after(closings[-1].month) if closings else None
    before = closings[-1] if due == month else None
    start, end = bounds_of(month, zone)
    starts = {party: before.end} if before else {}
    wanted = Wanted(start=start, end=end, party=party, starts=starts)
    tally = count(office, wanted, [before] if before else []).get(party)
    if tally is None and not closings and not _is_configured(office, party):
        raise NotFound(f"There is nothing of {party} in {month}.")
    if not closings and reader.sees_all and office.records.now() >= end + LATE_SECONDS:
        due = first_months(office, party, start, zone).get(party, month)
    tally = tally or Tally()
    return describe(office, reader, _open(party, month, zone, tally, before), tally.content(), due)


def close_statement(office: Office, by: str, wanted: Close, most_bytes: int | None = MOST_BYTES) -> Statement:
    """Close a month of a party for good; a closed one stays as it is. Raises `NotValid`, `NotFound`, and `Refused`
    where it is not over, where an earlier one is open, and where a file cannot be read."""
    party, reader = wanted.party, Reader(by, None, is_operator=True)
    check_party(reader, party)
    month, zone, now = read_month(office, wanted.period), account_zone(office), office.records.now()
    closings, store = find_closings(office, party), Statements(office.records.dynamo)
    if closing := next((each for each in closings if each.month == month), None):
        return describe(office, reader, closing, store.read(closing))
    start, end = bounds_of(month, zone)
    if now < end + LATE_SECONDS:
        raise Refused(f"{month} can be closed {LATE_SECONDS // HOUR} hours after its end, when its calls are over.")
    before = closings[-1] if closings else None
    due = month_after(before.month) if before else first_months(office, party, start, zone).get(party, month)
    if month != due:
        raise Refused(f"Statements are closed in their order. Close that of {due} first.")
    starts = {party: before.end} if before else {}
    counted = Wanted(start=start, end=end, party=party, starts=starts, with_keys=True)
    tally = count(office, counted, [before] if before else [], most_bytes).get(party)
    if tally is None and not closings and not _is_configured(office, party):
        raise NotFound(f"There is nothing of {party} in {month}.")
    tally = tally or Tally()
    closed = replace(_open(party, month, zone, tally, before), at=now, by=by)
    closing = store.close(closed, tally.content())
    return describe(office, reader, closing, store.read(closing))


def close_all(office: Office, by: str, month: str) -> Iterator[Statement]:
    """Close a month of everybody, and what is open before it, one after another. Raises as `close_statement` does."""
    month, zone = read_month(office, month), account_zone(office)
    first = first_months(office, None, bounds_of(month, zone)[1], zone)
    before = {each.party for each in Statements(office.records.dynamo).of_month(month_after(month, -1))}
    for party in sorted({*first, *before}):
        closings = find_closings(office, party)
        due = month_after(closings[-1].month) if closings else first[party]
        while due <= month:
            yield close_statement(office, by, Close(party, due), None)
            due = month_after(due)


def own_parties(reader: Reader) -> list[str] | None:
    """Whose statements a reader may see; None for everybody's."""
    if reader.sees_all:
        return None
    if reader.buyers:
        return [party_of("buyer", str(buyer)) for buyer in reader.buyers]
    return [party_of("publisher", reader.name)]


def check_party(reader: Reader, party: str) -> None:
    """Raises `NotValid`, and `NotFound` for whom the reader may not see."""
    if read_party(party) is None:
        raise NotValid({"party": ["must be publisher: and a user's name, or buyer: and a buyer's id"]})
    only = own_parties(reader)
    if only is not None and party not in only:
        raise NotFound("There is no such statement, or it is not yours.")


def find_closings(office: Office, party: str) -> list[Closing]:
    """In the order of their months."""
    return Statements(office.records.dynamo).find(party, months_back(office))


def _open(party: str, month: str, zone: str, tally: Tally, before: Closing | None) -> Closing:
    """`before` is the statement of the month before, if that is closed: this one begins where it ended."""
    start, end = bounds_of(month, zone)
    return Closing(
        party=party,
        month=month,
        start=before.end if before else start,
        end=end,
        zone=zone,
        at=0,
        by="",
        own=tally.own,
        corrections=tally.corrections,
    )


def _is_configured(office: Office, party: str) -> bool:
    side, name = party.split(SEPARATOR, 1)
    if side == "publisher":
        return name in office.records.versions.last_read().names("users")
    return int(name) in buyer_names(office)
