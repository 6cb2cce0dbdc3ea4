"""What the operator's command shows of the buyers: when each is open, what looks wrong in its schedule, and how full
its caps are."""

import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from shared.domain import configuration, schedule
from shared.domain.caps import Cap, full, key, starts
from shared.domain.models import Buyer
from shared.domain.schedule import Schedule, local_time
from shared.store.counters import Counters
from shared.store.records import Records
from tools import document
from tools.stack import fail, stack

HOURS = 48
LONGEST = 32 * 24 * 3600
"""No hour, day or month takes longer."""
MINUTE = "%a %d %b %H:%M"
SPAN = len("Tue 24 Nov 09:00 – Wed 25 Nov 17:00")
BAR = 10


def schedules(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="A YAML file, in place of the live configuration.", show_default=False)
    ] = None,
    zone: Annotated[str, typer.Option(help="The time zone to show beside each buyer's own.")] = "UTC",
    strict: Annotated[bool, typer.Option("--strict", help="Fail if there are findings.")] = False,
) -> None:
    """When each buyer is open in the next 48 hours, and what looks wrong in its schedule."""
    try:
        schedule.read_zone(zone)
    except ValueError as wrong:
        fail(f"--zone {wrong}")
    if file:
        wanted, _ = document.load(file)
        buyers, now = configuration.buyers(wanted), int(time.time())
    else:
        with stack(context) as records:
            buyers, now = _live(records), records.now()
    typer.echo(f"From {_minute(zone, now)} {zone}, for {HOURS} hours.")
    findings = 0
    for offer, buyer in buyers:
        states = ["paused"] * buyer.paused + ["always open"] * (buyer.schedule is None)
        typer.echo(f"\n{_title(offer, buyer)}" + (f": {', else '.join(states)}" if states else ""))
        if buyer.schedule is None:
            continue
        for line in _hours(buyer.schedule, now, [*dict.fromkeys([buyer.zone, zone])]):
            typer.echo(f"  {line}")
        for finding in schedule.findings(buyer.schedule, buyer.zone, now):
            findings += 1
            typer.echo(typer.style(f"  ! {finding}", fg="yellow"))
    if findings:
        typer.echo(f"\nFindings: {findings}.")
    raise typer.Exit(1 if strict and findings else 0)


def caps(
    context: typer.Context, offer: Annotated[str, typer.Option(help="Only the buyers of this offer.")] = ""
) -> None:
    """How full the buyers' caps are now."""
    with stack(context) as records:
        buyers, now = _live(records), records.now()
        if offer and offer not in {name for name, _ in buyers}:
            fail(f"There is no offer {offer} with buyers in the live configuration.")
        capped = [(name, buyer) for name, buyer in buyers if buyer.caps and offer in ("", name)]
        counted = Counters(records.dynamo, {}).counts([buyer.id for _, buyer in capped], now)
    for name, buyer in capped:
        typer.echo(f"{_title(name, buyer)}, by the clock of {buyer.zone}")
        for line, is_full in _gauges(buyer, counted[buyer.id], now):
            typer.echo(typer.style(f"  {line}", fg="red" if is_full else None))
    if without := sum(offer in ("", name) for name, _ in buyers) - len(capped):
        typer.echo(f"Buyers without caps: {without}.")


def _live(records: Records) -> list[tuple[str, Buyer]]:
    return configuration.buyers(configuration.whole(records.live().parts))


def _title(offer: str, buyer: Buyer) -> str:
    return f"{buyer.name} (buyer {buyer.id}) of {offer}"


def _hours(opening: Schedule, now: int, zones: list[str]) -> Iterator[str]:
    """Open and closed by turns, and the changes of the clock between them; a column for each zone, the buyer's own
    first."""
    end = now + HOURS * 3600
    rows = [
        (start, word, [_span(zone, start, until, now, end) for zone in zones])
        for start, until, word in _stretches(schedule.windows(opening, zones[0], now, end), now, end)
    ]
    rows += [
        (at, "clocks", [_turn(zone, at) for zone in zones])
        for at in {at for zone in zones for at, _ in schedule.changes(zone, now, end)}
    ]
    for _, word, columns in [(0, "", zones), *sorted(rows)]:
        yield f"{word:<8}{'  '.join(f'{column:<{SPAN}}' for column in columns)}".rstrip()


def _stretches(windows: list[tuple[int, int]], start: int, end: int) -> Iterator[tuple[int, int, str]]:
    at = start
    for opens, closes in windows:
        if at < opens:
            yield at, opens, "closed"
        yield opens, closes, "open"
        at = closes
    if at < end:
        yield at, end, "closed"


def _span(zone: str, start: int, until: int, now: int, end: int) -> str:
    """`now` and … stand for what began before the hours that are shown, and what ends after them."""
    same_day = start > now and local_time(zone, start).date() == local_time(zone, until).date()
    last = f"{local_time(zone, until):%H:%M}" if same_day else _minute(zone, until)
    return f"{_minute(zone, start) if start > now else 'now'} – {last if until < end else '…'}"


def _turn(zone: str, at: int) -> str:
    """A time; where the clock is changed just then, what it would have shown and what it does."""
    before = local_time(zone, at - 1).replace(tzinfo=None) + timedelta(seconds=1)
    after = local_time(zone, at).replace(tzinfo=None)
    return f"{before:{MINUTE}}" + (f" → {after:%H:%M}" if after != before else "")


def _gauges(buyer: Buyer, counts: Mapping[str, int], now: int) -> Iterator[tuple[str, bool]]:
    """A line for each cap, and whether it has no room for a sale at the buyer's bid."""
    local = local_time(buyer.zone, now)
    counted = [counts.get(key(cap, local), 0) for cap in buyer.caps]
    names = _padded("<", [_name(cap) for cap in buyer.caps])
    amounts = _padded(">", [_amount(cap, count) for cap, count in zip(buyer.caps, counted, strict=True)])
    limits = _padded(">", [_amount(cap, cap.limit) for cap in buyer.caps])
    for cap, count, name, amount, limit in zip(buyer.caps, counted, names, amounts, limits, strict=True):
        is_full = full([cap], counts, buyer.bid_cents, local) is not None
        percent = 100 * count // cap.limit if cap.limit else 100
        share = f"{percent:>3} % [{'#' * min(BAR, BAR * percent // 100):.<{BAR}}]"
        said = " ".join(filter(None, ["full" if is_full else "", _until(cap, buyer.zone, now)]))
        yield f"{name}  {amount} of {limit}  {share}  {said}".rstrip(), is_full


def _padded(side: str, texts: list[str]) -> list[str]:
    return [f"{text:{side}{max(map(len, texts))}}" for text in texts]


def _name(cap: Cap) -> str:
    """Like "sales per day", "revenue in total", "places at once"; "… at my_endpoint" if it is one endpoint's."""
    kind = "places at once" if cap.kind == "concurrent" else cap.kind
    period = {"": "", "total": " in total"}.get(cap.period, f" per {cap.period}")
    return kind + period + (f" at {cap.endpoint}" if cap.endpoint else "")


def _amount(cap: Cap, amount: int) -> str:
    return f"{amount // 100:,}.{amount % 100:02}" if cap.kind == "revenue" else f"{amount:,}"


def _until(cap: Cap, zone: str, now: int) -> str:
    """When the hour, day or month that is counted now is over."""
    if not (period := cap.period) or period == "total":
        return ""
    start = starts(period, local_time(zone, now))
    later = range(now, now + LONGEST)
    ends = later[bisect_left(later, True, key=lambda at: starts(period, local_time(zone, at)) > start)]
    return f"until {_minute(zone, ends)}"


def _minute(zone: str, at: int) -> str:
    return f"{local_time(zone, at):{MINUTE}}"
