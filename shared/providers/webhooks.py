"""A webhook as it came, and what the checks of all providers have in common."""

import re
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from shared.providers.events import NotRead

LONGEST_SECONDS_OLD = 300
"""How far a signed time may lie from ours, in either direction."""


class Webhook(Struct, frozen=True, kw_only=True):
    """`url` is whole and as the provider called it. `headers` have lower-case names. `received_at` is in seconds since
    the epoch."""

    url: str
    headers: dict[str, str]
    body: bytes
    received_at: int

    def __repr__(self) -> str:
        return f"Webhook({len(self.body)} bytes)"


class Secrets(Struct, frozen=True, kw_only=True):
    """A provider's `account`, and what its signatures are checked with: two `keys` while one is rotated."""

    account: str
    keys: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Secrets({len(self.keys)} keys)"


def read_form(webhook: Webhook) -> dict[str, str]:
    """The fields of the body, a form or a JSON object; of a repeated field the last value. Raises `NotRead`.

    Not those of the query: not every provider signs its URL.
    """
    if is_json(webhook):
        try:
            document = msgspec.json.decode(webhook.body, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise NotRead("The webhook is no JSON object.") from None
        return {name: value for name, value in document.items() if isinstance(value, str)}
    return dict(read_fields(webhook))


def read_fields(webhook: Webhook) -> list[tuple[str, str]]:
    """The names and values of a form, in its order. Raises `NotRead`."""
    try:
        return parse_qsl(webhook.body.decode(), keep_blank_values=True)
    except ValueError:
        raise NotRead("The webhook is no form.") from None


def is_json(webhook: Webhook) -> bool:
    return webhook.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def is_of_account(webhook: Webhook, account: str) -> bool:
    """Whether the body says that it is of this account; what says nothing is of none."""
    try:
        return account != "" and read_form(webhook).get("AccountSid") == account
    except NotRead:
        return False


def is_recent(webhook: Webhook, timestamp: str) -> bool:
    """Whether a time, in seconds since the epoch, is near enough to ours that it is no old request sent again."""
    if not re.fullmatch("[0-9]{1,12}", timestamp):
        return False
    return abs(webhook.received_at - int(timestamp)) <= LONGEST_SECONDS_OLD
