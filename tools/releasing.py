"""The command that gives numbers up: a person sees what that means and types each number."""

import getpass
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

import typer

from shared.configuration import Change
from shared.domain import phone
from shared.domain.objections import Refused
from shared.domain.refusals import TemporarilyUnavailable
from shared.store.records import Records
from tools.account_access import OURS, Name, application_name, find_provider, leads_to, open_account, read_live
from tools.accounts import Account, Kind, Owned, Price
from tools.buying import describe, kind_of
from tools.provider_api import Unclear
from tools.stack_access import stack
from tools.target import ask, clock, fail, require_person, working


def release(
    context: typer.Context,
    name: Name,
    numbers: Annotated[
        list[str], typer.Argument(metavar="NUMBERS", help="Like +18005550100; several are asked for one by one.")
    ],
) -> None:
    """Give numbers back to the provider. It refuses those that are in use, and a person has to type each number."""
    require_person("Numbers are released")
    wanted = [*dict.fromkeys(map(_number, numbers))]
    with stack(context) as records:
        account = open_account(records, find_provider(read_live(records), name))
        own = application_name(context, name)
        with working(f"Asking {name} …"):
            owned = {each.number: each for each in account.numbers()}
            there = [owned[number] for number in wanted if number in owned]
            reasons = [reason for each in there for reason in _reasons(records, account, own, each)]
        if reasons:
            raise Refused("\n".join([*reasons, "Nothing was released."]))
        for number in wanted:
            if number not in owned:
                typer.echo(f"{number} is not a number of {name}, or not any more.")
        prices = dict[Kind, Price | None]()
        for each in there:
            kind = kind_of(each.number)
            if kind not in prices:
                prices[kind] = account.price(kind)
            _confirm(each, name, _calls_go_to(account, each), prices[kind])
            _release(records, account, own, each, name)


def _number(text: str) -> str:
    try:
        return phone.e164(text, "US")
    except ValueError:
        fail("NUMBERS must be telephone numbers, like +18005550100.")


def _reasons(records: Records, account: Account, own: str, owned: Owned) -> Iterator[str]:
    """Why a number must not be released now."""
    number, live = owned.number, records.versions.current()
    if used := live.numbers().get(number):
        yield (
            f"{number} is in the configuration ({used.owner}). Take it out there, apply that, and release it when "
            "its last lease is over."
        )
    for owner, until in records.applying.claiming.resting([number], live).values():
        yield f"{number} is held by {owner}, which has given it up, until {clock(until)}. Release it then."
    name = next((each.name for each in account.applications() if each.id == owned.application), "")
    if name.startswith(OURS) and name != own:
        yield f"{number} rings at the application {name}. Release it by the command of that stage and provider."
    if account.is_in_call(number):
        yield f"Somebody calls {number} now. Release it when the call is over."


def _calls_go_to(account: Account, owned: Owned) -> str:
    found = leads_to(owned, {each.id: each.addresses for each in account.applications()})
    if found and found.voice:
        return f"Its calls go to {found.voice.partition('?')[0]}"
    return "Its calls go to no address that this command knows"


def _confirm(owned: Owned, name: str, calls: str, price: Price | None) -> None:
    """Exits unless the number is typed."""
    number = owned.number
    costs = f"A number like it costs {describe(price)}" if price else f"{name} does not say what it costs"
    typer.echo(
        f"{number}: {calls}. {costs}. Once it is released, somebody else may get it, and you may not get it back. "
        "Callers may still dial it, and then reach its new owner.",
        err=True,
    )
    with suppress(ValueError):
        if phone.e164(ask(f"Type {number} to release it"), "US") == number:
            return
    fail(f"{number} and what follows were not released.")


def _release(records: Records, account: Account, own: str, owned: Owned, name: str) -> None:
    """Look again, as the answer may have taken long, and then let it go."""
    number = owned.number
    if reasons := [*_reasons(records, account, own, owned)]:
        raise Refused("\n".join([*reasons, f"{number} and what follows were not released."]))
    try:
        account.give_up(owned)
    except Unclear as unclear:
        if account.find(number):
            raise Refused(f"{unclear} {number} is still there: run it again.") from None
    typer.echo(f"{number} is released.")
    with suppress(TemporarilyUnavailable):  # the provider's log has it, too
        records.versions.note(getpass.getuser(), [Change(f"providers[{name}].numbers[{number}]", number, None)])
