"""The keys that a process works with: read from the secrets, and checked against the list of those in use.

The list is one item of the config table, "KEYS" and "LISTED", with an attribute in JSON for each kind. A process reads
it once in `CHECK_SECONDS`, and when a ping id names an unknown key. It reads the secrets again only if the list has an
unknown key.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.key_list import (
    CHECK_SECONDS,
    DASHBOARDS,
    KINDS,
    SHARED,
    BadSecret,
    Listed,
    Secrets,
    keys_at,
    merge,
    missing_keys,
    read,
)
from shared.domain.keys import Keys
from shared.domain.refusals import TemporarilyUnavailable
from shared.settings import Settings
from shared.store.dynamo import ConditionFailed, Dynamo, Item
from shared.store.items import as_bytes, as_number, as_text, table_key, text_of

LISTED = table_key("KEYS", "LISTED")
LOCK_SECONDS = 60
AGAIN_SECONDS = 5
"""How soon the list is read again if a key is missing or a ping id names an unknown one."""


class KeyMissing(Exception):
    """The secrets lack keys in use: data under these keys would not be found."""

    def __init__(self, missing: list[Listed]) -> None:
        names = ", ".join(f"{each.kind} {each.id}" for each in missing)
        super().__init__(
            f"The secret lacks keys that stored data needs: {names}. Put the secret back as it was, or give these keys "
            "up: secrets retire KIND ID --lost."
        )


def read_secrets(settings: Settings, of_arn: Callable[[str], str]) -> Secrets:
    """The secrets that the settings name. `of_arn` reads one of Secrets Manager. Raises `BadSecret`, and what `of_arn`
    raises."""

    def one(arn: str, file: str, itself: str, labels: dict[str, bytes]) -> Secrets:
        text = of_arn(arn) if arn else Path(file).read_text() if file else itself
        return read(text, text.encode() if arn or text.startswith("{") else _bytes(text), labels)

    found = one(settings.secret_arn, settings.secret_file, settings.secret, SHARED)
    if settings.session_secret_arn or settings.session_secret_file:
        sessions = one(settings.session_secret_arn, settings.session_secret_file, "", DASHBOARDS)
        found = merge(found, sessions)
    return found


def _bytes(text: str) -> bytes:
    """The bytes of the local run's random text, which is hexadecimal. Raises `BadSecret`."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise BadSecret("The secret must be hexadecimal.") from None


class Keyring:
    """`read` gives the secrets as they are now; it raises `BadSecret` and what the store of secrets raises. `lists`
    says that this process may list kinds of which no key is listed yet."""

    def __init__(self, read: Callable[[], Secrets], *, lists: bool = False) -> None:
        self.read = read
        self.lists = lists
        self.secrets = read()
        self.listed: list[Listed] = []
        self._fresh_until = 0.0
        self._read_at = 0.0
        self.missing: KeyMissing | None = None

    def keys(self, now: int) -> Keys:
        """The keys as the last look at the list found them."""
        return keys_at(self.secrets, self.listed, now)

    def is_due(self) -> bool:
        """Whether the list should be read soon."""
        return time.monotonic() > self._read_at + CHECK_SECONDS / 2

    def check(self, dynamo: Dynamo, now: int) -> None:
        """Read the list if it is not fresh. Raises `TemporarilyUnavailable` if that fails or a key in use is
        missing."""
        if time.monotonic() > self._fresh_until:
            self.renew(dynamo, now)
        if self.missing:
            raise TemporarilyUnavailable(AGAIN_SECONDS, not_done=True) from self.missing

    def check_again(self, dynamo: Dynamo, now: int) -> Keys:
        """The keys, after another look at the list if the last one is some seconds old."""
        if time.monotonic() > self._read_at + AGAIN_SECONDS:
            self.renew(dynamo, now)
        return self.keys(now)

    def renew(self, dynamo: Dynamo, now: int) -> None:
        """Read the list, and the secrets if they lack a key of the list. Raises `TemporarilyUnavailable`."""
        self._read_at = time.monotonic()
        listed = read_listed(dynamo)
        if self.lists and (new := [kind for kind in self.secrets.keys if kind not in {each.kind for each in listed}]):
            listed = list_first(dynamo, self.secrets, new)
        lacking = missing_keys(self.secrets, listed)
        if lacking:
            with suppress(BotoCoreError, ClientError, OSError, BadSecret):  # then it lacks what it lacked
                self.secrets = self.read()
            lacking = missing_keys(self.secrets, listed)
        missing = [each for each in lacking if each.since <= now]
        self.listed = listed
        self.missing = KeyMissing(missing) if missing else None
        self._fresh_until = self._read_at + (AGAIN_SECONDS if lacking else CHECK_SECONDS)


def read_listed(dynamo: Dynamo) -> list[Listed]:
    """The keys in use; none of a kind that has no list yet. Raises `TemporarilyUnavailable`."""
    return _listed(dynamo.get(dynamo.settings.config_table, LISTED) or {})


def first_of(secrets: Secrets, kind: str) -> Listed:
    """The key of a kind that has no list yet: all data of the kind is under it."""
    first = min(secrets.keys[kind])
    return Listed(kind, first, 0, secrets.fingerprint(kind, first))


def list_first(dynamo: Dynamo, secrets: Secrets, kinds: list[str]) -> list[Listed]:
    """List the first key of each kind that has no list; from now on a process that lacks it does not work."""
    first = {kind: first_of(secrets, kind) for kind in kinds}
    answer = dynamo.call(
        dynamo.client.update_item,
        TableName=dynamo.settings.config_table,
        Key=LISTED,
        UpdateExpression="SET " + ", ".join(f"{kind} = if_not_exists({kind}, :{kind})" for kind in first),
        ExpressionAttributeValues={f":{kind}": _packed([each]) for kind, each in first.items()},
        ReturnValues="ALL_NEW",
    )
    return _listed(answer["Attributes"])


def lock(dynamo: Dynamo, mine: bytes, now: int) -> bool:
    """Take the lock for changes of keys, for `LOCK_SECONDS` or until `unlock`; False if somebody else has it. `mine` is
    random."""
    try:
        dynamo.call(
            dynamo.client.update_item,
            TableName=dynamo.settings.config_table,
            Key=LISTED,
            UpdateExpression="SET locked_by = :mine, locked_until = :until",
            ConditionExpression="attribute_not_exists(locked_by) OR locked_until <= :now OR locked_by = :mine",
            ExpressionAttributeValues={
                ":mine": as_bytes(mine),
                ":until": as_number(now + LOCK_SECONDS),
                ":now": as_number(now),
            },
        )
    except ConditionFailed:
        return False
    return True


def unlock(dynamo: Dynamo, mine: bytes) -> None:
    with suppress(ConditionFailed, TemporarilyUnavailable):
        dynamo.call(
            dynamo.client.update_item,
            TableName=dynamo.settings.config_table,
            Key=LISTED,
            UpdateExpression="REMOVE locked_by, locked_until",
            ConditionExpression="locked_by = :mine",
            ExpressionAttributeValues={":mine": as_bytes(mine)},
        )


def change(dynamo: Dynamo, mine: bytes, kind: str, listed: list[Listed]) -> None:
    """Write the keys in use of a kind. If there are none, the next process lists the kind's first key. Raises
    `ConditionFailed` if the lock is no longer ours."""
    values: dict[str, Any] = {":mine": as_bytes(mine), **({":listed": _packed(listed)} if listed else {})}
    dynamo.call(
        dynamo.client.update_item,
        TableName=dynamo.settings.config_table,
        Key=LISTED,
        UpdateExpression=f"SET {kind} = :listed" if listed else f"REMOVE {kind}",
        ConditionExpression="locked_by = :mine",
        ExpressionAttributeValues=values,
    )


def _listed(item: Item) -> list[Listed]:
    found: list[Listed] = []
    for kind in KINDS:
        if kind in item:
            found += msgspec.json.decode(text_of(item, kind), type=list[Listed])
    return found


def _packed(listed: list[Listed]) -> Any:
    return as_text(msgspec.json.encode(listed).decode())
