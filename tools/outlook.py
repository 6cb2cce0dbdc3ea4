"""What the operator's command shows of the buyers: when each is open, what looks wrong in its schedule, and how full
its caps are."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from shared import configuration
from shared.domain import schedule
from shared.domain.models import Buyer
from shared.operators import forecast
from shared.operators.forecast import HOURS, Gauge, minute
from shared.store.records import Records
from tools import document
from tools.stack_access import stack
from tools.target import Json, fail, print_json

SPAN = len("Tue 24 Nov 09:00 – Wed 25 Nov 17:00")
BAR = 10


def schedules(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A YAML file, in place of the live configuration.")
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
        buyers, now = configuration.compile_buyers(wanted), int(time.time())
    else:
        with stack(context) as records:
            buyers, now = _live(records), records.now()
    typer.echo(f"From {minute(zone, now)} {zone}, for {HOURS} hours.")
    findings = 0
    for offer, buyer in buyers:
        states = ["paused"] * buyer.paused + ["always open"] * (buyer.schedule is None)
        typer.echo(f"\n{_title(offer, buyer)}" + (f": {', else '.join(states)}" if states else ""))
        if buyer.schedule is None:
            continue
        zones = [*dict.fromkeys([buyer.zone, zone])]
        for word, columns in [("", zones), *forecast.hours(buyer.schedule, now, zones)]:
            typer.echo(f"  {word:<8}{'  '.join(f'{column:<{SPAN}}' for column in columns)}".rstrip())
        for finding in schedule.findings(buyer.schedule, buyer.zone, now):
            findings += 1
            typer.echo(typer.style(f"  ! {finding}", fg="yellow"))
    if findings:
        typer.echo(f"\nFindings: {findings}.")
    raise typer.Exit(1 if strict and findings else 0)


def caps(
    context: typer.Context,
    offer: Annotated[str, typer.Option(help="Only the buyers of this offer.")] = "",
    as_json: Json = False,
) -> None:
    """How full the buyers' caps are now."""
    with stack(context) as records:
        buyers = _live(records)
        if offer and offer not in {name for name, _ in buyers}:
            fail(f"There is no offer {offer} with buyers in the live configuration.")
        capped = [(name, buyer) for name, buyer in buyers if buyer.caps and offer in ("", name)]
        counted = forecast.gauges_of(records, [buyer for _, buyer in capped])
    if as_json:
        print_json([{"offer": name, "buyer_id": buyer.id, "caps": counted[buyer.id]} for name, buyer in capped])
        return
    for name, buyer in capped:
        typer.echo(f"{_title(name, buyer)}, by the clock of {buyer.zone}")
        for line, is_full in _lines(counted[buyer.id]):
            typer.echo(typer.style(f"  {line}", fg="red" if is_full else None))
    if without := sum(offer in ("", name) for name, _ in buyers) - len(capped):
        typer.echo(f"Buyers without caps: {without}.")


def _live(records: Records) -> list[tuple[str, Buyer]]:
    return configuration.compile_buyers(configuration.from_records(records.versions.current().parts))


def _title(offer: str, buyer: Buyer) -> str:
    return f"{buyer.name} (buyer {buyer.id}) of {offer}"


def _lines(gauges: list[Gauge]) -> Iterator[tuple[str, bool]]:
    """A line for each cap, and whether it is full."""
    names = _pad("<", [gauge.name for gauge in gauges])
    amounts = _pad(">", [gauge.amount for gauge in gauges])
    limits = _pad(">", [gauge.limit for gauge in gauges])
    for gauge, name, amount, limit in zip(gauges, names, amounts, limits, strict=True):
        share = f"{gauge.percent:>3} % [{'#' * min(BAR, BAR * gauge.percent // 100):.<{BAR}}]"
        said = " ".join(filter(None, ["full" * gauge.is_full, gauge.until and f"until {gauge.until}"]))
        yield f"{name}  {amount} of {limit}  {share}  {said}".rstrip(), gauge.is_full


def _pad(side: str, texts: list[str]) -> list[str]:
    return [f"{text:{side}{max(map(len, texts))}}" for text in texts]
