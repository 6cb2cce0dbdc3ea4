"""Telephone numbers at a provider: which it has and the configuration has not, and whether their calls come to us."""

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated

import typer

from shared import configuration
from shared.configuration import Configuration, expand_numbers
from shared.configuration.file import Provider
from shared.configuration.shapes import MAX_RANGE
from shared.domain import phone
from shared.domain.objections import Refused
from shared.domain.plurals import counted
from shared.store.records import Records
from tools import accounts, stack_secrets
from tools.accounts import Account, Addresses, Application, Owned, Telnyx, Twilio
from tools.stack_access import stack, url
from tools.target import Target, working

TWILIO_KEY, TELNYX_KEY = "TWILIO_AUTH_TOKEN", "TELNYX_API_KEY"
"""The variables that have the key of the account, as the providers' own commands call them."""

app = typer.Typer(
    no_args_is_help=True, help="The numbers at a telephony provider. Nothing is bought, and no number is given up."
)

Name = Annotated[str, typer.Argument(metavar="PROVIDER", help="The provider, as the configuration names it.")]
Url = Annotated[
    str, typer.Option("--url", help="Where the provider reaches this stack, if not at the URL of the stage.")
]


@app.command("import")
def import_numbers(context: typer.Context, name: Name) -> None:
    """List what the provider's account has and the configuration has not, as YAML."""
    with stack(context) as records:
        live = _live(records)
        with working(f"Asking {name} …"):
            owned = {each.number for each in _account(records, _provider(live, name)).numbers()}
    new = owned - {number for _, number, _ in configuration.owned_numbers(live)}
    if not new:
        typer.echo(f"{name} has {counted(len(owned), 'number')}, and the configuration has each of them.", err=True)
        return
    typer.echo("numbers:")
    for text in as_ranges(new):
        typer.echo(f'  - "{text}"')


@app.command()
def check(context: typer.Context, address: Url = "") -> None:
    """Compare each number of the configuration with its provider: is it there, and do its calls come to us? The exit
    code is 1 if one is not."""
    with stack(context) as records:
        live, own_url = _live(records), _public_url(context, address)
        wrong, count = list[str](), 0
        for name, numbers in sorted(_numbers_by_provider(live).items()):
            provider = _provider(live, name)
            if provider.kind == "local":
                continue
            with working(f"Asking {name} …"):
                wrong += _faults(_account(records, provider), name, numbers, _addresses(own_url, name))
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
        live = _live(records)
        provider, wanted = (
            _provider(live, name),
            _chosen(_numbers_by_provider(live).get(name, set()), numbers or [], name),
        )
        account, to = _account(records, provider), _addresses(_public_url(context, address), name)
        with working(f"Asking {name} …"):
            owned = {each.number: each for each in account.numbers()}
            known = _application(account, context, name)
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
        application = Application(known.id if known else "", _name_of_application(context, name), to)
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


def as_ranges(numbers: Iterable[str]) -> list[str]:
    """Numbers (E.164) as the configuration takes them: those that follow each other as one range."""
    runs: list[list[int]] = []
    for number in sorted({int(each) for each in numbers}):
        last = runs[-1] if runs else []
        if last and number == last[-1] + 1 and len(last) < MAX_RANGE and len(str(number)) == len(str(last[0])):
            last.append(number)
        else:
            runs.append([number])
    return [f"+{run[0]}-+{run[-1]}" if len(run) > 1 else f"+{run[0]}" for run in runs]


def _live(records: Records) -> Configuration:
    return configuration.read(configuration.document_of(records.versions.current().parts))


def _provider(live: Configuration, name: str) -> Provider:
    """Raises `Refused`."""
    found = next((each for each in live.providers if each.name == name), None)
    if found is None:
        names = ", ".join(each.name for each in live.providers) or "none"
        raise Refused(f"There is no provider {name}. The configuration has: {names}.")
    return found


def _account(records: Records, provider: Provider) -> Account:
    """Raises `Refused` where there is no key for it."""
    match provider.kind:
        case "twilio":
            if not (key := os.environ.get(TWILIO_KEY) or _stored_token(records, provider)):
                raise Refused(f"There is no key of {provider.name}: set {TWILIO_KEY} to the account's auth token.")
            return Twilio(provider.account, key, accounts.TWILIO)
        case "telnyx":
            if not (key := os.environ.get(TELNYX_KEY, "")):
                raise Refused(f"There is no key of {provider.name}: set {TELNYX_KEY} to an API key of the account.")
            return Telnyx(key, accounts.TELNYX)
        case _:
            raise Refused(f"{provider.name} is the provider of the local run: it has no account.")


def _stored_token(records: Records, provider: Provider) -> str:
    """With which its webhooks are checked; empty where it is not set, or is not on a deployed stage."""
    arn = records.dynamo.settings.provider_secrets_arn
    name = provider.token.removeprefix("{secret.").removesuffix("}")
    return stack_secrets.read(arn).get(name, "") if arn else ""


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


def _public_url(context: typer.Context, given: str) -> str:
    """Raises `Refused` for what a provider cannot call."""
    found = (given or url(context)).rstrip("/")
    if not re.fullmatch(r"https://[A-Za-z0-9.-]+(:\d+)?", found):
        raise Refused("Providers call public https addresses only. Name this stack's by --url https://….")
    return found


def _addresses(own_url: str, name: str) -> Addresses:
    at = f"{own_url}/calls/{name}"
    return Addresses(voice=f"{at}/voice", fallback=f"{at}/again", status=f"{at}/status")


def _name_of_application(context: typer.Context, name: str) -> str:
    target: Target = context.obj
    return f"Ringpost {target.stage or 'local'} {name}"


def _application(account: Account, context: typer.Context, name: str) -> Application | None:
    wanted = _name_of_application(context, name)
    return next((each for each in account.applications() if each.name == wanted), None)


def _faults(account: Account, name: str, numbers: Iterable[str], to: Addresses) -> Iterator[str]:
    """What is wrong with each number, as a sentence."""
    owned = {each.number: each for each in account.numbers()}
    applications = {each.id: each.addresses for each in account.applications()}
    for number in sorted(numbers):
        found = owned.get(number)
        if found is None:
            yield f"{number}: {name} does not have it."
        elif (leads_to := _leads_to(found, applications)) != to:
            yield f"{number}: {_where(leads_to, to)}. Try ./ringpost numbers point {name}"


def _leads_to(owned: Owned, applications: Mapping[str, Addresses]) -> Addresses | None:
    if owned.elsewhere:
        return None
    return applications.get(owned.application) if owned.application else owned.addresses


def _where(found: Addresses | None, to: Addresses) -> str:
    """A webhook of somebody else's may have secrets in its query."""
    if found is None or not found.voice:
        return "its calls go to no address"
    if found.voice != to.voice:
        return f"its calls go to {found.voice.partition('?')[0]}"
    return "its calls come to us, but not those that fail, or not their ends"
