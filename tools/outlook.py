"""What the operator's command shows of the buyers: when each is open, what looks wrong in its schedule, and how full
its caps are."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from shared.domain import configuration, schedule
from shared.domain.models import Buyer
from shared.operators import outlook
from shared.operators.outlook import HOURS, Gauge, minute
from shared.store.records import Records
from tools import document
from tools.stack import fail, stack

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
    typer.echo(f"From {minute(zone, now)} {zone}, for {HOURS} hours.")
    findings = 0
    for offer, buyer in buyers:
        states = ["paused"] * buyer.paused + ["always open"] * (buyer.schedule is None)
        typer.echo(f"\n{_title(offer, buyer)}" + (f": {', else '.join(states)}" if states else ""))
        if buyer.schedule is None:
            continue
        zones = [*dict.fromkeys([buyer.zone, zone])]
        for word, columns in [("", zones), *outlook.hours(buyer.schedule, now, zones)]:
            typer.echo(f"  {word:<8}{'  '.join(f'{column:<{SPAN}}' for column in columns)}".rstrip())
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
        buyers = _live(records)
        if offer and offer not in {name for name, _ in buyers}:
            fail(f"There is no offer {offer} with buyers in the live configuration.")
        capped = [(name, buyer) for name, buyer in buyers if buyer.caps and offer in ("", name)]
        counted = outlook.counted(records, [buyer for _, buyer in capped])
    for name, buyer in capped:
        typer.echo(f"{_title(name, buyer)}, by the clock of {buyer.zone}")
        for line, is_full in _lines(counted[buyer.id]):
            typer.echo(typer.style(f"  {line}", fg="red" if is_full else None))
    if without := sum(offer in ("", name) for name, _ in buyers) - len(capped):
        typer.echo(f"Buyers without caps: {without}.")


def _live(records: Records) -> list[tuple[str, Buyer]]:
    return configuration.buyers(configuration.whole(records.live().parts))


def _title(offer: str, buyer: Buyer) -> str:
    return f"{buyer.name} (buyer {buyer.id}) of {offer}"


def _lines(gauges: list[Gauge]) -> Iterator[tuple[str, bool]]:
    """A line for each cap, and whether it is full."""
    names = _padded("<", [gauge.name for gauge in gauges])
    amounts = _padded(">", [gauge.amount for gauge in gauges])
    limits = _padded(">", [gauge.limit for gauge in gauges])
    for gauge, name, amount, limit in zip(gauges, names, amounts, limits, strict=True):
        share = f"{gauge.percent:>3} % [{'#' * min(BAR, BAR * gauge.percent // 100):.<{BAR}}]"
        said = " ".join(filter(None, ["full" * gauge.is_full, gauge.until and f"until {gauge.until}"]))
        yield f"{name}  {amount} of {limit}  {share}  {said}".rstrip(), gauge.is_full


def _padded(side: str, texts: list[str]) -> list[str]:
    return [f"{text:{side}{max(map(len, texts))}}" for text in texts]
