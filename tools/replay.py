"""Stored decisions made again: the same configuration, lead, facts, clock and seed have to give the same bids; another
configuration shows what would have changed.

A stored PING knows the counts, lists and sales that its own configuration asked for. Where another configuration asks
for more, a cap counts from nothing, and the caller is on no list and was never sold.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from shared import configuration
from shared.configuration import Configuration
from shared.domain import keys, matching
from shared.domain.models import Bid, Endpoint, Ping, RingPool
from shared.domain.objections import NotValid
from shared.journal.periods import Period
from shared.operators import log
from shared.operators.access import Office
from shared.operators.log import Question, Wanted
from shared.store.compiled import Compiled, Memory
from shared.store.records import Records
from tools import document
from tools.office import EVERYTHING, open_office
from tools.stack_access import stack
from tools.target import fail, progress

PARTS = 1000
"""Of the journal, that are searched for PINGs one after the other."""
SHOWN = 20
"""Of many PINGs, how many that differ are named."""


class Versions:
    """The endpoints under which PINGs were decided, each read once."""

    def __init__(self, records: Records) -> None:
        self.keys = records.keys
        self.compiled = Compiled(records.dynamo, Memory())
        self.read: dict[tuple[str, int], Endpoint] = {}

    def of(self, ping: Ping) -> Endpoint:
        at = (ping.endpoint, ping.version)
        if at not in self.read:
            self.read[at] = self.compiled.version(*at)
        return self.read[at]


def replay(
    context: typer.Context,
    ping_id: Annotated[
        str, typer.Argument(metavar="PING_ID", help="Any ping_id of the PING; without one, the last PINGs.")
    ] = "",
    last: Annotated[int, typer.Option(min=1, help="How many of the last, without a ping_id.")] = 1000,
    start: Annotated[str, typer.Option("--from", help="Of this day or minute on, like 2026-11-01T14:30.")] = "",
    end: Annotated[str, typer.Option("--to", help="To this day or minute; today without one.")] = "",
    zone: Annotated[str, typer.Option(help="Their time zone, like America/New_York; the account's without one.")] = "",
    config: Annotated[Path | None, typer.Option(help="What this file would have changed.")] = None,
) -> None:
    """Make stored decisions again. The exit code is 1 if one comes out differently under its own configuration."""
    wanted = document.load(config)[0] if config else None
    others = _endpoints(wanted) if wanted else {}
    with stack(context) as records:
        versions = Versions(records)
        if ping_id:
            ping = _found(records, ping_id)
            same = _show(ping, versions.of(ping), others.get(ping.endpoint) if wanted else versions.of(ping))
        else:
            with open_office(records) as office:
                pings = _last(office, Wanted(start=start, end=end, zone=zone), last)
            same = _compare(pings, versions, others, config)
    if not same:
        raise typer.Exit(1)


def decide(endpoint: Endpoint, ping: Ping) -> tuple[Bid, ...]:
    """The bids on a stored lead at its own time, ranked; none where its caller is refused."""
    facts = ping.facts
    if not set(facts.listed).isdisjoint(endpoint.suppression):
        return ()
    if facts.sold.get(endpoint.scope, 0) > ping.created_at - endpoint.duplicate_seconds:
        return ()
    passing = matching.passing(endpoint, ping.lead, ping.created_at)
    return matching.bids(endpoint, passing, ping.lead, ping.created_at, facts, ping.seed)


def _found(records: Records, ping_id: str) -> Ping:
    said = keys.unchecked_ping_id(ping_id)
    ping = records.pings.read(said[0], records.now()).ping if said and said[0] else None
    if ping is None or keys.read_ping_id(records.keys, ping.endpoint, ping_id) is None:
        fail(f"There is no PING {ping_id}: it is of another stack, or deleted.")
    if ping.lead_until <= records.now():
        fail(f"The lead of {ping_id} was erased, or is over its retention.")
    return ping


def _last(office: Office, wanted: Wanted, most: int) -> list[Ping]:
    """The last PINGs of a range whose leads are kept, the newest first, found by their rows. Without a range, those of
    any time."""
    try:
        period = log.read_question(office, EVERYTHING, wanted).period
    except NotValid as wrong:
        fail("\n".join(f"{name} {said}" for name, sentences in wrong.errors.items() for said in sentences))
    now = office.records.now()
    if not (wanted.start or wanted.end):
        period = Period(0, period.end)
    question = Question(period=period, kinds=("ping",))
    rows = [row for part in log.search_on(log.search, office, question, most, PARTS) for row in part.found]
    raw_ids = [bytes.fromhex(row.ping) for row in rows][:most]
    found = office.records.pings.read_all(raw_ids, now)
    pings = (found[raw_id].ping for raw_id in dict.fromkeys(raw_ids) if raw_id in found)
    return [ping for ping in pings if ping and ping.lead_until > now]


def _endpoints(wanted: Configuration) -> dict[str, Endpoint]:
    """Without numbers, which no decision asks for."""
    pools = {
        pool.name: RingPool(
            no=0, name=pool.name, hold_seconds=pool.hold_seconds, cooldown_seconds=pool.cooldown_seconds, shards=()
        )
        for pool in wanted.ring_pools
    }
    return configuration.compile_endpoints(wanted, pools, 0)


def _show(ping: Ping, own: Endpoint, other: Endpoint | None) -> bool:
    """One PING in full; whether its own configuration decides it as it was decided."""
    at = datetime.fromtimestamp(ping.created_at, UTC)
    typer.echo(f"PING at {ping.endpoint}, {at:%Y-%m-%d %H:%M:%S} UTC, configuration version {ping.version}")
    again = decide(own, ping)
    _show_decision(ping, own, again)
    if again != ping.bids:
        typer.echo("It was decided otherwise:")
        _show_bids(own, ping.bids)
    elif other is own:
        typer.echo("The same decision again.")
    if other is None:
        typer.echo("The file has no such endpoint.")
    elif other is not own:
        changed = decide(other, ping)
        typer.echo("The file would have changed nothing." if changed == ping.bids else "With the file:")
        if changed != ping.bids:
            _show_decision(ping, other, changed)
    return again == ping.bids


def _show_decision(ping: Ping, endpoint: Endpoint, bids: tuple[Bid, ...]) -> None:
    _show_bids(endpoint, bids)
    for failed in matching.failures(endpoint, ping.lead, ping.created_at, ping.facts):
        seen = "nothing" if failed.seen is None else failed.seen
        typer.echo(
            f"  {_name(endpoint, failed.buyer_id):<24} fails {failed.rule}: {seen}, the rule is {failed.threshold}"
            f" ({failed.local_time})"
        )


def _show_bids(endpoint: Endpoint, bids: tuple[Bid, ...]) -> None:
    for bid in bids:
        typer.echo(
            f"  {_name(endpoint, bid.buyer_id):<24} bids {bid.cents / 100:.2f}, payout {bid.payout_cents / 100:.2f}"
        )
    if not bids:
        typer.echo("  nobody bids")


def _name(endpoint: Endpoint, buyer_id: int) -> str:
    buyer = endpoint.buyer(buyer_id)
    return f"{buyer.name if buyer else 'gone'} ({buyer_id})"


def _compare(pings: list[Ping], versions: Versions, others: Mapping[str, Endpoint], config: Path | None) -> bool:
    """Many PINGs as one sum; whether each is decided under its own configuration as it was."""
    differ = []
    with progress(len(pings), "Deciding again ") as bar:
        for ping in pings:
            if decide(versions.of(ping), ping) != ping.bids:
                differ.append(ping)
            bar.update(1)
    typer.echo(f"{len(pings)} PINGs decided again: {len(pings) - len(differ)} the same, {len(differ)} otherwise.")
    for ping in differ[:SHOWN]:
        typer.echo(f"  {keys.ping_id(versions.keys, ping.endpoint, ping.id)}")
    if config:
        _show_changes(pings, others, config)
    return not differ


def _show_changes(pings: list[Ping], others: Mapping[str, Endpoint], config: Path) -> None:
    """What another configuration would have changed, by buyer."""
    was, would = Counter[int](), Counter[int]()
    first_was, first_would = Counter[int](), Counter[int]()
    changed = 0
    for ping in pings:
        other = others.get(ping.endpoint)
        bids = decide(other, ping) if other else ()
        changed += bids != ping.bids
        was.update(bid.buyer_id for bid in ping.bids)
        would.update(bid.buyer_id for bid in bids)
        first_was.update(bid.buyer_id for bid in ping.bids[:1])
        first_would.update(bid.buyer_id for bid in bids[:1])
    typer.echo(f"{config} would have changed {changed} of them.")
    if changed:
        typer.echo(f"  {'buyer':<10} {'bids':>7} {'with it':>9} {'first':>7} {'with it':>9}")
        for buyer_id in sorted({*was, *would}):
            row = (was[buyer_id], would[buyer_id], first_was[buyer_id], first_would[buyer_id])
            typer.echo(f"  {buyer_id:<10} {row[0]:>7} {row[1]:>9} {row[2]:>7} {row[3]:>9}")
