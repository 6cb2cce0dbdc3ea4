"""`python -m tools.configure`: the operator's command. It checks, compares and applies the configuration, issues
tokens, and shows the buyers' hours and caps.

It works on the deployed stage that `--stage` names; else on the stack that the RINGPOST_… variables name, as the
functions do; without them, on the local run.
"""

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from shared.domain import configuration, phone
from shared.domain.configuration import Change, InvalidConfiguration
from tools import document, live, outlook, replay, suppression, upkeep
from tools.stack import DATA, Target, fail, stack, url

SHOWN = 100
NOTHING = "Nothing to change."

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
tokens = typer.Typer(no_args_is_help=True, help="Issue, list and revoke the tokens of users.")
app.add_typer(tokens, name="tokens")
app.add_typer(suppression.app, name="suppression")
app.add_typer(live.secrets, name="secrets")

File = Annotated[Path, typer.Argument(help="The YAML file.", show_default=False)]


@app.callback()
def _options(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help="The data directory of the local run.")] = DATA,
    stage: Annotated[
        str, typer.Option(help="A deployed stage, in the account that your AWS credentials are for.")
    ] = "",
) -> None:
    context.obj = Target(data, stage)


@app.command()
def check(file: File) -> None:
    """Say what is wrong with a file, without any stack."""
    wanted, _ = document.load(file)
    typer.echo(f"{file} is right: {len(wanted.offers)} offers at {len(wanted.endpoints)} endpoints.")


@app.command()
def diff(context: typer.Context, file: File) -> None:
    """Show what applying a file would change."""
    wanted, _ = document.load(file)
    with stack(context) as records:
        changes = configuration.changes(records.live().parts, configuration.parts(wanted))
        _show(changes)
        if not changes:
            typer.echo(NOTHING)


@app.command()
def apply(
    context: typer.Context, file: File, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> None:
    """Make a file the live configuration: all of it or nothing. It shows the difference and asks first."""
    wanted, read = document.load(file)
    with stack(context) as records:
        live = records.live()
        changes = configuration.changes(live.parts, configuration.parts(wanted))
        _show(changes)
        if changes and not yes:
            typer.confirm("Apply this?", abort=True)
        try:
            applied = records.apply(wanted, getpass.getuser(), seen=live.version)
        except InvalidConfiguration as invalid:
            document.fail_at(file, read, invalid.problems)
        if applied is None:
            typer.echo(NOTHING)
            return
        if not changes:
            _show(applied.changes)  # repairs of an apply that died
        typer.echo(f"Version {applied.version} is live; every process works by it within 10 seconds.")


@app.command()
def history(context: typer.Context, versions: Annotated[int, typer.Option(help="How many.")] = 10) -> None:
    """What was changed, when and by whom; the newest first."""
    with stack(context) as records:
        found, _ = records.history(versions)
        for applied in found:
            typer.echo(f"Version {applied.version}, {_clock(applied.at)}, {applied.by}")
            _show(applied.changes)


@app.command()
def users(context: typer.Context) -> None:
    """The users of the live configuration."""
    with stack(context) as records:
        for (section, name), user in records.live().parts.items():
            if section == "users":
                sources = ", ".join(user.get("traffic_sources", [])) or "any"
                typer.echo(f"{name}  {user['role']}  traffic sources: {sources}")


@app.command()
def route(context: typer.Context, number: str, caller: str) -> None:
    """Where a call to a number of ours goes now, from this caller."""
    with stack(context) as records:
        try:
            found = records.route(phone.e164(number, "US"), phone.e164(caller, "US"))
        except ValueError:
            fail("NUMBER and CALLER must be telephone numbers, like +18005550100.")
        if found is None:
            fail("Nowhere: no live sale has this number, for this caller.")
        typer.echo(f"{found.name} (buyer {found.buyer_id}) at {found.number}, until {_clock(found.until)}")


@app.command("sign-in")
def sign_in(context: typer.Context, user: str) -> None:
    """Print a link with which a user signs in to the dashboard: once, within a quarter of an hour."""
    with stack(context) as records:
        code = records.give_code(user, getpass.getuser())
        typer.echo(f"{url(context)}/dashboard/sign_in?code={code}")


@tokens.command()
def issue(context: typer.Context, user: str) -> None:
    """Make a token for a user. It is shown once and kept nowhere."""
    with stack(context) as records:
        issued, secret = records.issue(user, getpass.getuser())
        typer.echo(f"Token {issued.id} of {issued.user}. Keep it; it is not shown again:")
        typer.echo(secret)


@tokens.command("list")
def list_tokens(context: typer.Context, user: Annotated[str, typer.Argument(help="Only this user's.")] = "") -> None:
    """Which tokens there are, without their secrets."""
    with stack(context) as records:
        for token in records.tokens(user):
            typer.echo(f"{token.id}  {token.user}  issued {_clock(token.issued_at)}")


@tokens.command()
def revoke(context: typer.Context, token_id: str) -> None:
    """End a token, by its id."""
    with stack(context) as records:
        revoked = records.revoke(token_id, getpass.getuser())
        typer.echo(f"Token {revoked.id} of {revoked.user} is accepted nowhere any more, within a minute.")


app.command()(outlook.schedules)
app.command()(outlook.caps)
app.command()(replay.replay)
app.command()(live.unsettled)
app.command()(live.settle)
app.command()(upkeep.erase)
app.command()(upkeep.erasures)
app.command()(upkeep.repair)


def _show(changes: list[Change]) -> None:
    for change in changes:
        if change.was is None:
            typer.echo(f"+ {change.path}  {_text(change.now)}")
        elif change.now is None:
            typer.echo(f"- {change.path}  {_text(change.was)}")
        else:
            typer.echo(f"~ {change.path}  {_text(change.was)} → {_text(change.now)}")


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False).replace('"', "")
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _clock(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


if __name__ == "__main__":
    app()
