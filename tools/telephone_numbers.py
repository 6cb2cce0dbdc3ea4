"""Telephone numbers at a provider: which it has and the configuration has not, whether their calls come to us, and new
ones bought and old ones given up."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated

import typer

from shared import configuration
from shared.configuration import Configuration, expand_numbers
from shared.domain import phone
from shared.domain.objections import Refused
from shared.domain.plurals import counted
from shared.operators.pool_numbers import as_ranges
from tools import buying, releasing
from tools.account_access import (
    Name,
    Url,
    addresses_at,
    application_name,
    find_application,
    find_provider,
    leads_to,
    open_account,
    print_numbers,
    public_url,
    read_live,
)
from tools.accounts import Account, Addresses, Application
from tools.stack_access import stack
from tools.target import working

app = typer.Typer(
    no_args_is_help=True,
    help="The numbers at a telephony provider. Only a person at a terminal can buy or release one.",
)


@app.command("import")
def import_numbers(context: typer.Context, name: Name) -> None:
    """List what the provider's account has and the configuration has not, as YAML."""
    with stack(context) as records:
        live = read_live(records)
        with working(f"Asking {name} …"):
            owned = {each.number for each in open_account(records, find_provider(live, name)).numbers()}
    new = owned - {number for _, number, _ in configuration.owned_numbers(live)}
    if not new:
        typer.echo(f"{name} has {counted(len(owned), 'number')}, and the configuration has each of them.", err=True)
        return
    print_numbers(new)


@app.command()
def check(context: typer.Context, address: Url = "") -> None:
    """Compare each number of the configuration with its provider: is it there, and do its calls come to us? The exit
    code is 1 if one is not."""
    with stack(context) as records:
        live, own_url = read_live(records), public_url(context, address)
        wrong, count = list[str](), 0
        for name, numbers in sorted(_numbers_by_provider(live).items()):
            provider = find_provider(live, name)
            if provider.kind == "local":
                continue
            with working(f"Asking {name} …"):
                wrong += _faults(open_account(records, provider), name, numbers, addresses_at(own_url, name))
            count += len(numbers)
    for sentence in wrong:
        typer.echo(sentence)
    if wrong:
        raise typer.Exit(1)
    typer.echo(f"{counted(count, 'number')}: all are there, and their calls come to {own_url}.")


@app.command()
def point(
    context: typer.Context,
    name: Name,
    numbers: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NUMBERS]", help="Only these, like +18005550100; else all of the configuration."),
    ] = None,
    address: Url = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Let the calls of numbers come to us: sets one application at the provider, and each number to it. It asks
    first."""
    with stack(context) as records:
        live = read_live(records)
        provider, wanted = (
            find_provider(live, name),
            _chosen(_numbers_by_provider(live).get(name, set()), numbers or [], name),
        )
        account, to = open_account(records, provider), addresses_at(public_url(context, address), name)
        with working(f"Asking {name} …"):
            owned = {each.number: each for each in account.numbers()}
            known = find_application(account, context, name)
        absent = sorted(wanted - owned.keys())
        moved = [owned[number] for number in sorted(wanted & owned.keys())]
        if known and known.addresses == to:
            moved = [each for each in moved if each.application != known.id or each.elsewhere]
        for number in absent:
            typer.echo(f"{number} is not a number of {name}.")
        if not moved:
            typer.echo("Every other number comes to us already." if absent else "Every number comes to us already.")
            raise typer.Exit(1 if absent else 0)
        for text in as_ranges(each.number for each in moved):
            typer.echo(f"{text} → {to.voice}")
        if not yes:
            typer.confirm(f"From then on {counted(len(moved), 'number')} of {name} will ring here. Do it?", abort=True)
        application = Application(known.id if known else "", application_name(context, name), to)
        made = known.id if known and known == application else account.save(application)
        done = 0
        try:
            for each in moved:
                account.point(each, made)
                done += 1
        except Refused as refused:
            raise Refused(f"{done} of {len(moved)} were set, then: {refused} Run it again to go on.") from None
        typer.echo(f"{counted(done, 'number')} of {name} now {'rings' if done == 1 else 'ring'} at {to.voice}.")
        if absent:
            raise typer.Exit(1)


app.command()(buying.buy)
app.command()(releasing.release)


def _numbers_by_provider(live: Configuration) -> Mapping[str, set[str]]:
    """The numbers of endpoints that take calls, by the provider that brings them."""
    pools = {pool.name: pool for pool in live.ring_pools}
    found: dict[str, set[str]] = defaultdict(set)
    for endpoint in live.endpoints:
        if endpoint.calls:
            numbers = found[endpoint.calls.provider]
            numbers.update(endpoint.static_numbers.values(), endpoint.shared_numbers)
            if endpoint.ring_pool:
                pool = pools[endpoint.ring_pool]
                numbers.update(expand_numbers(pool.numbers), filter(None, [pool.overflow_number]))
    return found


def _chosen(configured: set[str], numbers: Collection[str], name: str) -> set[str]:
    """Raises `Refused` for a number that the provider does not bring by the configuration."""
    try:
        wanted = {phone.e164(number, "US") for number in numbers}
    except ValueError:
        raise Refused("NUMBERS must be telephone numbers, like +18005550100.") from None
    if others := sorted(wanted - configured):
        raise Refused(f"{others[0]} is not a number of an endpoint whose calls come through {name}.")
    if not configured:
        raise Refused(f"No endpoint takes calls through {name}: say `calls: {{provider: {name}}}`, and apply it.")
    return wanted or configured


def _faults(account: Account, name: str, numbers: Iterable[str], to: Addresses) -> Iterator[str]:
    """What is wrong with each number, as a sentence."""
    owned = {each.number: each for each in account.numbers()}
    applications = {each.id: each.addresses for each in account.applications()}
    for number in sorted(numbers):
        found = owned.get(number)
        if found is None:
            yield f"{number}: {name} does not have it."
        elif (there := leads_to(found, applications)) != to:
            yield f"{number}: {_where(there, to)}. Try ./ringpost numbers point {name}"


def _where(found: Addresses | None, to: Addresses) -> str:
    """A webhook of somebody else's may have secrets in its query."""
    if found is None or not found.voice:
        return "its calls go to no address"
    if found.voice != to.voice:
        return f"its calls go to {found.voice.partition('?')[0]}"
    return "its calls come to us, but not those that fail, or not their ends"
