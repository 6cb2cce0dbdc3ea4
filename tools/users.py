"""The commands for users: their tokens, and their sessions in the dashboard."""

import getpass
from typing import Annotated, get_args

import typer

from shared.domain.models import Scope
from shared.domain.objections import NotValid
from shared.operators import issued_tokens
from shared.store.callers import Callers
from shared.store.tokens import Token
from tools.stack_access import stack, url
from tools.target import Json, clock, fail, print_json

User = Annotated[str, typer.Argument(metavar="USER", help="A user of the live configuration.")]

tokens = typer.Typer(no_args_is_help=True, help="Issue, list and revoke the tokens of users.")


def users(context: typer.Context, as_json: Json = False) -> None:
    """The users of the live configuration."""
    with stack(context) as records:
        found = [part for (section, _), part in records.versions.current().parts.items() if section == "users"]
        if as_json:
            print_json(found)
            return
        for user in found:
            sources = ", ".join(user.get("traffic_sources", [])) or "any"
            typer.echo(f"{user['name']}  {user['role']}  traffic sources: {sources}")


def sign_in(context: typer.Context, user: User) -> None:
    """Print a link with which a user signs in to the dashboard: once, within a quarter of an hour."""
    with stack(context) as records:
        code = records.tokens.give_code(user, getpass.getuser())
        typer.echo(f"{url(context)}/dashboard/sign_in?code={code}")


def sign_out(context: typer.Context, user: User) -> None:
    """End all sessions of a user in the dashboard, in every browser."""
    with stack(context) as records:
        records.tokens.sign_out(user, getpass.getuser())
        typer.echo(f"Every session of {user} is over.")


@tokens.command()
def issue(
    context: typer.Context,
    user: User,
    name: Annotated[str, typer.Option(help="What the token is for.")] = "",
    scope: Annotated[
        str,
        typer.Option(
            metavar="post|read|operate",
            help="post: only PING, POST and FULL, for web pages; read: reading in the API; operate: all that the user "
            "may do. Default: post for a publisher, read for a viewer, operate for an operator.",
            show_default=False,
        ),
    ] = "",
    expires: Annotated[str, typer.Option(help="Its last day, UTC, like 2027-01-31. Default: no end.")] = "",
    as_json: Json = False,
) -> None:
    """Make a token for a user. It is shown once and kept nowhere."""
    if len(name) > issued_tokens.NAME_LETTERS:
        fail(f"--name must have at most {issued_tokens.NAME_LETTERS} letters.")
    with stack(context) as records:
        try:
            wanted = issued_tokens.WantedToken(name, _scope(scope), expires)
            issued = issued_tokens.issue(records, getpass.getuser(), user, wanted)
        except NotValid as wrong:
            fail("\n".join(f"--{path} {sentence}" for path, found in wrong.errors.items() for sentence in found))
        if as_json:
            print_json(issued)
            return
        typer.echo(f"Token {issued.id} of {issued.user}, {_ends(issued)}. Keep it; it is not shown again:")
        typer.echo(issued.token)


@tokens.command("list")
def list_tokens(
    context: typer.Context,
    user: Annotated[str, typer.Argument(metavar="USER", help="Only this user's.")] = "",
    as_json: Json = False,
) -> None:
    """Which tokens there are, without their secrets."""
    with stack(context) as records:
        callers = Callers(records.dynamo, records.keys)
        found = issued_tokens.with_last_uses(callers, records.tokens.all(user))
        if as_json:
            print_json(found)
            return
        for token in found:
            used = f"last used in the hour from {clock(token.used_at)}" if token.used_at else "never used"
            named = f"  {token.name}" if token.name else ""
            typer.echo(f"{token.id}  {token.user}  issued {clock(token.issued_at)}  {_ends(token)}  {used}{named}")


def _scope(text: str) -> Scope | None:
    """Exits if there is no such scope."""
    found: Scope | None = next((scope for scope in get_args(Scope) if scope == text), None)
    if text and not found:
        fail("--scope must be post, read or operate.")
    return found


def _ends(token: Token | issued_tokens.Issued) -> str:
    return f"{token.scope}, " + (f"ends {clock(token.expires_at)}" if token.expires_at else "no end")


@tokens.command()
def revoke(
    context: typer.Context,
    token_id: Annotated[str, typer.Argument(metavar="TOKEN_ID", help="The id that `tokens list` shows.")],
) -> None:
    """End a token, by its id."""
    with stack(context) as records:
        revoked = records.tokens.revoke(token_id, getpass.getuser())
        typer.echo(f"Token {revoked.id} of {revoked.user} is refused everywhere within a minute.")
