"""The keys of a stack: rotate them, show what uses each, and retire old ones."""

import getpass
from enum import StrEnum
from typing import Annotated

import typer

from shared.operators import key_rotation
from tools.stack_access import Vault, vault
from tools.target import clock, working


class Kind(StrEnum):
    """The kinds of keys, as docs/how-to/rotate-secrets.md lists them."""

    PING_IDS = "ping-ids"
    TOKENS = "tokens"
    CALLERS = "callers"
    SESSIONS = "sessions"

    @property
    def attribute(self) -> str:
        return self.value.replace("-", "_")


OfKind = Annotated[Kind, typer.Argument(metavar="KIND", help=f"One of {', '.join(Kind)}.")]


def rotate(context: typer.Context, kind: OfKind) -> None:
    """Make a new key of a kind. It signs in two minutes, when every function knows it; whatever earlier keys made stays
    valid."""
    with vault(context) as opened:
        made = key_rotation.rotate(opened.records, opened.ring, opened.write, kind.attribute, getpass.getuser())
        typer.echo(f"{key_rotation.name(made.kind, made.id)} signs from {clock(made.since)} on.")


def status(context: typer.Context) -> None:
    """Show which key signs, and what uses each."""
    with vault(context) as opened:
        with working("Reading what uses each key …"):
            standing = list(key_rotation.list_standings(opened.records, opened.ring))
        for found in standing:
            name = key_rotation.name(found.key.kind, found.key.id)
            typer.echo(f"{name}  {_state(opened, found)}  {key_rotation.describe(found)}")


def retire(
    context: typer.Context,
    kind: OfKind,
    key_id: Annotated[int, typer.Argument(metavar="KEY_ID", help="The number that `status` shows.")],
    lost: Annotated[bool, typer.Option("--lost", help="The secret has lost the key: give up what uses it.")] = False,
) -> None:
    """Remove a key that nothing uses any more."""
    with vault(context) as opened:
        key_rotation.retire(
            opened.records, opened.ring, opened.write, kind.attribute, key_id, getpass.getuser(), lost=lost
        )
        typer.echo(f"{key_rotation.name(kind.attribute, key_id)} is retired.")


def _state(opened: Vault, found: key_rotation.Standing) -> str:
    if found.is_missing:
        return "MISSING"
    if found.signs:
        return "signs"
    if found.key.since > opened.records.now():
        return f"signs from {clock(found.key.since)} on"
    return "is read"
