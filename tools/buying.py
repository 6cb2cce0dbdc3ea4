"""The command that buys numbers: a person sees the price and types yes.

The provider's account is the only note of what was bought. Each number is ordered with the application that lets its
calls come to us, so a run that ends half way loses none: the next one finds what was bought and is in no configuration,
and offers that before it buys more. An order whose answer was lost is looked up, and never sent again.
"""

import getpass
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated

import phonenumbers
import typer

from shared.domain.objections import Objection, Refused
from shared.domain.plurals import counted
from shared.domain.refusals import TemporarilyUnavailable
from shared.operators import pool_numbers
from shared.store.records import Records
from tools.account_access import (
    Name,
    Url,
    addresses_at,
    application_name,
    find_application,
    find_provider,
    open_account,
    print_numbers,
    public_url,
    read_live,
)
from tools.accounts import Account, Application, Kind, Offered, Owned, Price
from tools.provider_api import Unclear
from tools.stack_access import stack
from tools.target import ask, require_person, working

MOST = 100
"""The most numbers of one run."""
PAUSES = (0, 1, 2, 4, 8)
"""Seconds before each look for a number that was ordered."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """What a run works with. The application has no id where the provider has none yet."""

    records: Records
    name: str
    account: Account
    application: Application
    kind: Kind
    pool: str


def buy(
    context: typer.Context,
    name: Name,
    count: Annotated[int, typer.Option(min=1, max=MOST, help="How many.")],
    pool: Annotated[str, typer.Option(help="The ring pool that gets them; else they are only listed, as YAML.")] = "",
    toll_free: Annotated[bool, typer.Option("--toll-free", help="Toll-free, not local numbers.")] = False,
    area_code: Annotated[str, typer.Option(help="What they begin with, like 212 or 888.")] = "",
    country: Annotated[str, typer.Option(help="Two letters.")] = "US",
    address: Url = "",
) -> None:
    """Buy numbers and let their calls come to us. It shows the price, and a person has to type yes."""
    require_person("Numbers are bought")
    kind = _kind(country, toll_free, area_code)
    with stack(context) as records:
        purchase = _begin(context, records, name, kind, pool, address)
        taken = _take_idle(purchase, count)
        offered = _choose(purchase, count - len(taken), taken) if len(taken) < count else []
        if offered or taken:
            purchase = _with_application(purchase, taken)
        bought = _order_all(purchase, offered)
        numbers = [*(each.number for each in taken), *bought]
        if numbers:
            _hand_over(purchase, numbers)
        if len(numbers) < count:
            raise typer.Exit(1)


def describe(price: Price) -> str:
    """What a number costs a month, and what more in the beginning."""
    once = f", and {money(price.once, price.currency)} once" if price.once else ""
    return f"{money(price.monthly, price.currency)} a month{once}"


def money(amount: Decimal, currency: str) -> str:
    return f"{currency} {amount:.2f}" if amount == round(amount, 2) else f"{currency} {amount}"


def kind_of(number: str) -> Kind:
    """Of a number in E.164."""
    parsed = phonenumbers.parse(number)
    country = phonenumbers.region_code_for_number(parsed)
    is_toll_free = phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.TOLL_FREE
    return Kind(country or phonenumbers.region_code_for_country_code(parsed.country_code or 0), is_toll_free)


def _kind(country: str, toll_free: bool, area_code: str) -> Kind:
    country = country.strip().upper()
    if country not in phonenumbers.SUPPORTED_REGIONS:
        raise typer.BadParameter("must be two letters, like US", param_hint="--country")
    if area_code and not (area_code.isascii() and area_code.isdecimal() and len(area_code) <= 6):
        raise typer.BadParameter("must be digits, like 212", param_hint="--area-code")
    return Kind(country, toll_free, area_code)


def _begin(context: typer.Context, records: Records, name: str, kind: Kind, pool: str, address: str) -> Purchase:
    """Raises `Refused` where what would be bought could not be used."""
    live = read_live(records)
    provider, to = find_provider(live, name), addresses_at(public_url(context, address), name)
    if pool:
        if pool not in (each.name for each in live.ring_pools):
            raise Refused(f"There is no ring pool {pool}.")
        if not any(each.ring_pool == pool and each.calls and each.calls.provider == name for each in live.endpoints):
            raise Refused(f"No endpoint with ring pool {pool} takes calls through {name}: apply that first.")
    account = open_account(records, provider)
    with working(f"Asking {name} …"):
        known = find_application(account, context, name)
    if known and known.addresses != to:
        raise Refused(f"Calls of {name} do not go to {to.voice}. First: ./ringpost numbers point {name}")
    return Purchase(records, name, account, known or Application("", application_name(context, name), to), kind, pool)


def _take_idle(purchase: Purchase, count: int) -> list[Owned]:
    """Numbers of the account that nobody uses, if the person wants them: they cost nothing more. Raises `Refused` where
    an earlier run's order is not finished."""
    with working(f"Asking {purchase.name} …"):
        for number in purchase.account.ordered(purchase.application.id) if purchase.application.id else ():
            if not _find(purchase.account, number):
                raise Refused(
                    f"{number} is ordered already, and not there yet. Wait until it is, or cancel the order at "
                    f"{purchase.name}; then run it again."
                )
        idle = _idle(purchase)[:count]
    if not idle:
        return []
    for text in pool_numbers.as_ranges(each.number for each in idle):
        typer.echo(text, err=True)
    are = "is" if len(idle) == 1 else "are"
    typer.echo(
        f"{purchase.name} has {counted(len(idle), 'such number')} already that {are} not in the configuration and ring"
        f"{'s' if len(idle) == 1 else ''} here or nowhere, perhaps from a run that ended half way.",
        err=True,
    )
    return idle if ask("Type yes to take these first, which costs nothing more").lower() == "yes" else []


def _idle(purchase: Purchase) -> list[Owned]:
    """Those whose calls come here or go nowhere, in the order of numbers."""
    live = purchase.records.versions.current()
    used = live.numbers()
    idle = {
        each.number: each
        for each in purchase.account.numbers()
        if each.number not in used and _is_of(purchase.kind, each.number) and _rings_here_or_nowhere(purchase, each)
    }
    resting = purchase.records.applying.claiming.resting(idle.keys(), live)
    return [idle[number] for number in sorted(idle.keys() - resting.keys())]


def _is_of(kind: Kind, number: str) -> bool:
    code = phonenumbers.country_code_for_region(kind.country)
    return number.startswith(f"+{code}{kind.area_code}") and kind_of(number).toll_free == kind.toll_free


def _rings_here_or_nowhere(purchase: Purchase, owned: Owned) -> bool:
    if owned.application or owned.elsewhere:
        return owned.application == purchase.application.id and not owned.elsewhere
    return not (owned.addresses and owned.addresses.voice)


def _choose(purchase: Purchase, count: int, taken: Collection[Owned]) -> list[Offered]:
    """What the person agrees to buy, after its price was shown. Raises `Refused` where a pool could not have it beside
    what was `taken`."""
    with working(f"Asking {purchase.name} …"):
        offered = purchase.account.offers(purchase.kind, count)
        if purchase.pool:
            numbers = [*(each.number for each in taken), *(each.number for each in offered)]
            pool_numbers.check_numbers(purchase.records, purchase.pool, numbers)
    if len(offered) < count:
        has = f"only {len(offered)} of the {count}" if offered else "none"
        typer.echo(f"{purchase.name} has {has} now: {purchase.kind.words}, without an address or papers.", err=True)
    if not offered:
        return []
    for each in offered:
        typer.echo(f"{each.number}  {describe(each.price)}", err=True)
    these = counted(len(offered), "number")
    typer.echo(f"In all: {_total(offered)}, before taxes, until they are released.", err=True)
    if ask(f"Type yes to buy {these} of {purchase.name}").lower() != "yes":
        typer.echo("Nothing was bought.", err=True)
        return []
    return offered


def _total(offered: Sequence[Offered]) -> str:
    """In each currency for itself."""
    sums = [
        Price(
            sum((each.price.monthly for each in offered if each.price.currency == currency), Decimal(0)),
            sum((each.price.once for each in offered if each.price.currency == currency), Decimal(0)),
            currency,
        )
        for currency in sorted({each.price.currency for each in offered})
    ]
    return "; ".join(map(describe, sums))


def _with_application(purchase: Purchase, taken: Collection[Owned]) -> Purchase:
    """The purchase with an application that the provider has, to which the calls of `taken` go."""
    account, application = purchase.account, purchase.application
    if not application.id:
        application = Application(account.save(application), application.name, application.addresses)
    for each in taken:
        if each.application != application.id:
            account.point(each, application.id)
    return replace(purchase, application=application)


def _order_all(purchase: Purchase, offered: Sequence[Offered]) -> list[str]:
    """One after another. The first that fails ends it: it says what of the others became."""
    bought = list[str]()
    for each in offered:
        try:
            _order(purchase, each.number)
        except Refused as refused:
            typer.echo(f"{refused} {len(bought)} of {len(offered)} were bought, and no more is ordered.", err=True)
            break
        bought.append(each.number)
        typer.echo(f"{each.number} is bought, {len(bought)} of {len(offered)}.", err=True)
    return bought


def _order(purchase: Purchase, number: str) -> None:
    """Raises `Refused` where it was not bought, and `Unclear`."""
    try:
        owned, why = purchase.account.order(number, purchase.application.id), "The order is not finished."
    except Unclear as unclear:
        owned, why = None, str(unclear)
    if owned or _find(purchase.account, number):
        return
    raise Unclear(
        f"It is not known whether {number} is bought. {why} It is not ordered again. "
        f"Look in some minutes: ./ringpost numbers import {purchase.name}. The next `numbers buy` offers it first."
    )


def _find(account: Account, number: str) -> bool:
    """Whether a number that was ordered is there, soon."""
    for pause in PAUSES:
        time.sleep(pause)
        try:
            if account.find(number):
                return True
        except Refused:
            continue
    return False


def _hand_over(purchase: Purchase, numbers: Sequence[str]) -> None:
    """Print the numbers, then put them into the pool. Raises `Refused` where that was not done."""
    print_numbers(numbers)
    if not purchase.pool:
        typer.echo("Paste these lines into your file, and apply it.", err=True)
        return
    try:
        with working(f"Putting them into ring pool {purchase.pool} …"):
            applied = pool_numbers.add_numbers(purchase.records, getpass.getuser(), purchase.pool, numbers)
    except (Objection, TemporarilyUnavailable) as failed:
        raise Refused(
            f"{str(failed) or 'The tables do not answer.'} The numbers are yours, but perhaps not in ring pool "
            f"{purchase.pool}. Run it again: it offers them before it buys more."
        ) from None
    version = f"Version {applied.version} is live: ring" if applied else "Ring"
    typer.echo(
        f"{version} pool {purchase.pool} has these {counted(len(numbers), 'number')} now. If you keep the "
        "configuration in a file, paste these lines there before you apply it.",
        err=True,
    )
