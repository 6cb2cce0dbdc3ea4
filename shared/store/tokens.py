"""Tokens of users, codes to sign in with, and sessions. Items of the config table, by `pk` and `sk`:

TOKEN#<hash>       TOKEN        the token's user, scope and expires_at
TOKENS             acme#1f2e…   by user and id: hash, issued_at, name, scope, expires_at
CODE#<hash>        CODE         user, and expires_at
SESSIONS#acme      SESSIONS     generation: sessions of the user's earlier ones are over
"""

import secrets
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any, cast

from msgspec import Struct

from shared.configuration import Change
from shared.domain.keys import Keys, token_hash, token_hashes
from shared.domain.models import Scope
from shared.domain.objections import Refused
from shared.store.compiled import token_id
from shared.store.dynamo import ConditionFailed, Item
from shared.store.items import as_number, as_text, number_of, number_or, table_key, text_of
from shared.store.versions import Applied, Versions

CODE_SECONDS = 900
"""How long one can sign in with a code."""

SESSIONS = "SESSIONS#"


class Token(Struct, frozen=True):
    """`used_at` is the hour of the last use; None if there was none, or if nobody asked for it."""

    id: str
    user: str
    issued_at: int
    name: str = ""
    scope: Scope = "operate"
    expires_at: int | None = None
    used_at: int | None = None


class Tokens:
    """`now` is the clock, in seconds since the epoch."""

    def __init__(self, versions: Versions, signing_keys: Keys) -> None:
        self.versions = versions
        self.dynamo = versions.dynamo
        self.table = versions.table
        self.now = versions.now
        self.keys = signing_keys

    def hashes(self) -> Iterator[str]:
        """The hash of every token."""
        return (text_of(item, "hash") for item in self.dynamo.partition(self.table, "TOKENS"))

    def issue(
        self,
        user: str,
        by: str,
        token: str = "",
        *,
        name: str = "",
        scope: Scope = "operate",
        expires_at: int | None = None,
    ) -> tuple[Token, str]:
        """A new token of a user, and its secret, kept nowhere: the given one or a random one. Raises `Refused`."""
        if ("users", user) not in self.versions.current().records:
            raise Refused(f"There is no user {user} in the live configuration.")
        secret = token or f"rp_{secrets.token_urlsafe(24)}"
        hashed = token_hash(self.keys, secret)
        issued = Token(self.id_of(secret), user, self.now(), name, scope, expires_at)
        opens = {"scope": as_text(scope), **({"expires_at": as_number(expires_at)} if expires_at else {})}
        listed = {"hash": as_text(hashed), "issued_at": as_number(issued.issued_at), "name": as_text(name), **opens}
        try:
            self.dynamo.transact(
                [
                    self._new(table_key(f"TOKEN#{hashed}", "TOKEN") | {"user": as_text(user), **opens}),
                    self._new(_token_key(issued) | listed),
                    self.versions.log_entry(self._of_token(issued, by, None, "issued")),
                ]
            )
        except ConditionFailed:
            raise Refused("This token was issued before.") from None
        return issued, secret

    def id_of(self, secret: str) -> str:
        """By what a token is named where its secret must not be seen."""
        return token_id(token_hash(self.keys, secret))

    def all(self, user: str = "") -> list[Token]:
        """Every token, or a user's, the oldest first."""
        found = (_token(item) for item in self.dynamo.partition(self.table, "TOKENS", f"{user}#" if user else ""))
        return sorted(found, key=lambda token: (token.issued_at, token.user, token.id))

    def revoke(self, token_id: str, by: str, user: str = "") -> Token:
        """End a token, of this user if one is named. Processes that know it accept it for another minute. Raises
        `Refused`."""
        for item in self.dynamo.partition(self.table, "TOKENS", f"{user}#" if user else ""):
            token = _token(item)
            if token.id == token_id:
                keys = [table_key(f"TOKEN#{item['hash']['S']}", "TOKEN"), _token_key(token)]
                deletes = [{"Delete": {"TableName": self.table, "Key": key}} for key in keys]
                self.dynamo.transact([*deletes, self.versions.log_entry(self._of_token(token, by, "issued", None))])
                return token
        raise Refused(f"There is no token {token_id}.")

    def end_all(self, users: Collection[str], by: str) -> None:
        """Remove tokens and sessions of users who leave, and of users who come: an apply that died may have left those
        of an earlier user of this name."""
        for token in self.all() if users else ():
            if token.user in users:
                self.revoke(token.id, by, token.user)
        for sessions in self.dynamo.batch_get(self.table, [_sessions_key(user) for user in users], ConsistentRead=True):
            self.end_sessions(text_of(sessions, "pk").removeprefix(SESSIONS), number_of(sessions, "generation"))

    def give_code(self, user: str, by: str) -> str:
        """A code with which this user signs in once, within `CODE_SECONDS`. That it was given is in the change log.
        Raises `Refused`."""
        if ("users", user) not in self.versions.current().records:
            raise Refused(f"There is no user {user} in the live configuration.")
        code = secrets.token_urlsafe(24)
        self.versions.note(by, [Change(f"users[{user}] sign-in link", None, "given")])
        self.keep_code(code, user)
        return code

    def keep_code(self, code: str, user: str) -> None:
        """Keep a code with which this user signs in once, within `CODE_SECONDS`."""
        expires_at = self.now() + CODE_SECONDS
        key = table_key(f"CODE#{token_hash(self.keys, code)}", "CODE")
        self.dynamo.call(
            self.dynamo.client.put_item,
            TableName=self.table,
            Item=key | {"user": as_text(user), "expires_at": as_number(expires_at)},
        )

    def use_code(self, code: str) -> str:
        """Whose code this is, empty if it is none, over or used. Now it is used."""
        for hashed in token_hashes(self.keys, code):
            with suppress(ConditionFailed):
                answer = self.dynamo.call(
                    self.dynamo.client.delete_item,
                    TableName=self.table,
                    Key=table_key(f"CODE#{hashed}", "CODE"),
                    ConditionExpression="expires_at > :now",
                    ExpressionAttributeValues={":now": as_number(self.now())},
                    ReturnValues="ALL_OLD",
                )
                user: str = answer["Attributes"]["user"]["S"]
                return user
        return ""

    def begin_session(self, user: str) -> int:
        """The generation of a session that begins now."""
        answer = self.dynamo.call(
            self.dynamo.client.update_item,
            TableName=self.table,
            Key=_sessions_key(user),
            UpdateExpression="SET generation = if_not_exists(generation, :first)",
            ExpressionAttributeValues={":first": as_number(1)},
            ReturnValues="ALL_NEW",
        )
        return int(answer["Attributes"]["generation"]["N"])

    def generation(self, user: str) -> int | None:
        """The generation whose sessions hold; earlier sessions are over. None if no session has begun. The same call
        reads the live configuration."""
        items = {
            text_of(item, "pk"): item
            for item in self.dynamo.batch_get(
                self.table, [table_key("CONFIG", "LIVE"), _sessions_key(user)], ConsistentRead=True
            )
        }
        self.versions.read_from(items.get("CONFIG"))
        sessions = items.get(_sessions_pk(user))
        return number_of(sessions, "generation") if sessions else None

    def end_sessions(self, user: str, generation: int) -> None:
        """End the user's sessions of this generation and of earlier ones. Twice or late it ends no later session."""
        with suppress(ConditionFailed):
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=_sessions_key(user),
                UpdateExpression="SET generation = :next",
                ConditionExpression="generation < :next",
                ExpressionAttributeValues={":next": as_number(generation + 1)},
            )

    def sign_out(self, user: str, by: str) -> None:
        """End all sessions of a user, and note that in the change log. Raises `Refused`."""
        if ("users", user) not in self.versions.current().records:
            raise Refused(f"There is no user {user} in the live configuration.")
        self.versions.note(by, [Change(f"users[{user}] sessions", None, "ended")])
        self.end_sessions(user, self.generation(user) or 0)

    def _new(self, item: dict[str, Any]) -> dict[str, Any]:
        """As a part of a transaction: an item that must not be there yet."""
        return {"Put": {"TableName": self.table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}

    def _of_token(self, token: Token, by: str, was: str | None, now: str | None) -> Applied:
        change = Change(f"users[{token.user}].tokens[{token.id}]", was, now)
        return Applied(self.versions.next_number(), self.now(), by, [change])


def _sessions_key(user: str) -> dict[str, Any]:
    return table_key(_sessions_pk(user), "SESSIONS")


def _sessions_pk(user: str) -> str:
    return SESSIONS + user


def _token_key(token: Token) -> dict[str, Any]:
    return table_key("TOKENS", f"{token.user}#{token.id}")


def _token(item: Item) -> Token:
    """A token of 0.1.0 has no name, scope and end."""
    user, _, token_id = text_of(item, "sk").partition("#")
    return Token(
        id=token_id,
        user=user,
        issued_at=number_of(item, "issued_at"),
        name=text_of(item, "name"),
        scope=cast("Scope", text_of(item, "scope") or "operate"),
        expires_at=number_or(item, "expires_at", None),
    )
