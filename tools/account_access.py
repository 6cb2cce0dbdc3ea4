"""What the commands `numbers …` need: the live configuration, a provider of it, and the account there."""

import os
import re
from collections.abc import Collection, Mapping
from typing import Annotated

import typer

from shared import configuration
from shared.configuration import Configuration
from shared.configuration.file import Provider
from shared.domain.objections import Refused
from shared.operators.pool_numbers import as_ranges
from shared.store.records import Records
from tools import accounts, stack_secrets
from tools.accounts import Account, Addresses, Application, Owned, Telnyx, Twilio
from tools.stack_access import url
from tools.target import Target

TWILIO_KEY, TELNYX_KEY = "TWILIO_AUTH_TOKEN", "TELNYX_API_KEY"
"""The variables that have the key of the account, as the providers' own commands call them."""
OURS = "Ringpost "
"""How the names of the applications of all stages begin."""

Name = Annotated[str, typer.Argument(metavar="PROVIDER", help="The provider, as the configuration names it.")]
Url = Annotated[
    str, typer.Option("--url", help="Where the provider reaches this stack, if not at the URL of the stage.")
]


def read_live(records: Records) -> Configuration:
    return configuration.read(configuration.document_of(records.versions.current().parts))


def find_provider(live: Configuration, name: str) -> Provider:
    """Raises `Refused`."""
    found = next((each for each in live.providers if each.name == name), None)
    if found is None:
        names = ", ".join(each.name for each in live.providers) or "none"
        raise Refused(f"There is no provider {name}. The configuration has: {names}.")
    return found


def open_account(records: Records, provider: Provider) -> Account:
    """Raises `Refused` where there is no key for it."""
    match provider.kind:
        case "twilio":
            if not (key := os.environ.get(TWILIO_KEY) or _stored_token(records, provider)):
                raise Refused(f"There is no key of {provider.name}: set {TWILIO_KEY} to the account's auth token.")
            return Twilio(provider.account, key, accounts.TWILIO, accounts.TWILIO_PRICES)
        case "telnyx":
            if not (key := os.environ.get(TELNYX_KEY, "")):
                raise Refused(f"There is no key of {provider.name}: set {TELNYX_KEY} to an API key of the account.")
            return Telnyx(provider.account, key, accounts.TELNYX)
        case _:
            raise Refused(f"{provider.name} is the provider of the local run: it has no account.")


def _stored_token(records: Records, provider: Provider) -> str:
    """With which its webhooks are checked; empty where it is not set, or is not on a deployed stage."""
    arn = records.dynamo.settings.provider_secrets_arn
    name = provider.token.removeprefix("{secret.").removesuffix("}")
    return stack_secrets.read(arn).get(name, "") if arn else ""


def public_url(context: typer.Context, given: str) -> str:
    """Raises `Refused` for what a provider cannot call."""
    found = (given or url(context)).rstrip("/")
    if not re.fullmatch(r"https://[A-Za-z0-9.-]+(:\d+)?", found):
        raise Refused("Providers call public https addresses only. Name this stack's by --url https://….")
    return found


def addresses_at(own_url: str, name: str) -> Addresses:
    at = f"{own_url}/calls/{name}"
    return Addresses(voice=f"{at}/voice", fallback=f"{at}/again", status=f"{at}/status")


def application_name(context: typer.Context, name: str) -> str:
    target: Target = context.obj
    return f"{OURS}{target.stage or 'local'} {name}"


def find_application(account: Account, context: typer.Context, name: str) -> Application | None:
    wanted = application_name(context, name)
    return next((each for each in account.applications() if each.name == wanted), None)


def leads_to(owned: Owned, applications: Mapping[str, Addresses]) -> Addresses | None:
    if owned.elsewhere:
        return None
    return applications.get(owned.application) if owned.application else owned.addresses


def print_numbers(numbers: Collection[str]) -> None:
    """As YAML to paste."""
    typer.echo("numbers:")
    for text in as_ranges(numbers):
        typer.echo(f'  - "{text}"')
