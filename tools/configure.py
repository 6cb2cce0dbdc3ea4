"""`python -m tools.configure`: the operator's command. It checks, compares and applies the configuration, and issues
tokens.

It works on the deployed stage that `--stage` names; else on the stack that the RINGPOST_… variables name, as the
functions do; without them, on the local run.
"""

import getpass
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast
from urllib.parse import urlsplit

import botocore.session
import typer
import yaml
from botocore.exceptions import BotoCoreError, ClientError

from shared import runtime, settings
from shared.domain import configuration, keys, phone
from shared.domain.configuration import Change, Configuration, InvalidConfiguration, Problem, dotted
from shared.domain.refusals import TemporarilyUnavailable
from shared.settings import MissingSetting, Settings
from shared.store.dynamo import Dynamo
from shared.store.records import Records, Refused
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

SERVICE = "service.json"
"""The local run's note, in its data directory: where its engine is and what its tables are called."""
DATA = engine.ROOT / ".ringpost"

FILE_BYTES = 1024 * 1024
VALUES = 100_000
DEPTH = 20
SHOWN = 100
NOTHING = "Nothing to change."
NULL, MERGE = "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"

Lines = dict[configuration.Path, int]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
tokens = typer.Typer(no_args_is_help=True, help="Issue, list and revoke the tokens of users.")
app.add_typer(tokens, name="tokens")

File = Annotated[Path, typer.Argument(help="The YAML file.", show_default=False)]


@dataclass(frozen=True, slots=True)
class Target:
    """What the command works on: a deployed stage if one is named, else what lies in `data` or the environment says."""

    data: Path
    stage: str


class Unreadable(Exception):
    """The file is no YAML that could be a configuration. `line` is 0 where it is about the whole file."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class Document:
    """A YAML file as text values, so that 25.10 and 007 are what was written; and the line of each path."""

    value: Any = None
    lines: Lines = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    values: int = 0

    def line(self, path: configuration.Path) -> int:
        return next(self.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.lines)

    def read(self, node: yaml.Node, path: configuration.Path) -> Any:
        self.values += 1
        if self.values > VALUES or len(path) > DEPTH:  # aliases of aliases make much out of little
            raise Unreadable(f"it has more than {VALUES} values, or is nested deeper than {DEPTH}")
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(entry, (*path, place)) for place, entry in enumerate(node.value)]
        return None if node.tag == NULL else node.value

    def _mapping(self, node: yaml.MappingNode, path: configuration.Path) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        found: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == MERGE:
                read = self.read(value, path)
                for mapping in read if isinstance(read, list) else [read]:
                    merged = (mapping if isinstance(mapping, dict) else {}) | merged
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise Unreadable("a key must be a word", line)
            at = (*path, key.value)
            if key.value in found:
                self.problems.append(Problem(at, f"is given twice, first in line {self.lines[at]}"))
            self.lines[at] = line
            found[key.value] = self.read(value, at)
        return merged | found


def document(text: bytes) -> Document:
    """Raises `Unreadable`."""
    if len(text) > FILE_BYTES:
        raise Unreadable(f"it is larger than {FILE_BYTES // 1024} KB")
    try:
        root = yaml.compose(text.decode(), Loader=yaml.SafeLoader)
        if root is None:
            raise Unreadable("it is empty")
        found = Document()
        found.value = found.read(root, ())
    except yaml.MarkedYAMLError as wrong:
        raise Unreadable(str(wrong.problem), wrong.problem_mark.line + 1 if wrong.problem_mark else 0) from None
    except (UnicodeDecodeError, yaml.YAMLError) as wrong:
        raise Unreadable(f"it is not YAML in UTF-8: {str(wrong).splitlines()[0]}") from None
    except RecursionError:
        raise Unreadable(f"it is nested deeper than {DEPTH}") from None
    return found


def load(file: Path) -> tuple[Configuration, Document]:
    """The configuration in a file. Exits with every problem in it, one per line."""
    try:
        read = document(file.read_bytes())
    except OSError as fault:
        _fail(f"{file}: {fault.strerror}")
    except Unreadable as wrong:
        _fail(f"{file}:{wrong.line}: {wrong}" if wrong.line else f"{file}: {wrong}")
    try:
        wanted = configuration.read(read.value)
    except InvalidConfiguration as invalid:
        _fail_at(file, read, [*read.problems, *invalid.problems])
    if read.problems:
        _fail_at(file, read, read.problems)
    return wanted, read


def note(data: Path, endpoint_url: str, stack: Settings) -> None:
    """Tell this command where the local run is. The secret stays in its own file."""
    tables = {name: value for name, value in stack.environment().items() if name.endswith("_TABLE")}
    (data / SERVICE).write_text(json.dumps({"endpoint_url": endpoint_url, "tables": tables}))


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
    wanted, _ = load(file)
    typer.echo(f"{file} is right: {len(wanted.offers)} offers at {len(wanted.endpoints)} endpoints.")


@app.command()
def diff(context: typer.Context, file: File) -> None:
    """Show what applying a file would change."""
    wanted, _ = load(file)
    with _stack(context) as records:
        changes = configuration.changes(records.live().parts, configuration.parts(wanted))
        _show(changes)
        if not changes:
            typer.echo(NOTHING)


@app.command()
def apply(
    context: typer.Context, file: File, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> None:
    """Make a file the live configuration: all of it or nothing. It shows the difference and asks first."""
    wanted, read = load(file)
    with _stack(context) as records:
        live = records.live()
        changes = configuration.changes(live.parts, configuration.parts(wanted))
        _show(changes)
        if changes and not yes:
            typer.confirm("Apply this?", abort=True)
        try:
            applied = records.apply(wanted, getpass.getuser(), seen=live.version)
        except InvalidConfiguration as invalid:
            _fail_at(file, read, invalid.problems)
        if applied is None:
            typer.echo(NOTHING)
            return
        if not changes:
            _show(applied.changes)  # repairs of an apply that died
        typer.echo(f"Version {applied.version} is live; every process works by it within 10 seconds.")


@app.command()
def history(context: typer.Context, versions: Annotated[int, typer.Option(help="How many.")] = 10) -> None:
    """What was changed, when and by whom; the newest first."""
    with _stack(context) as records:
        for applied in records.history()[:versions]:
            typer.echo(f"Version {applied.version}, {_clock(applied.at)}, {applied.by}")
            _show(applied.changes)


@app.command()
def users(context: typer.Context) -> None:
    """The users of the live configuration."""
    with _stack(context) as records:
        for (section, name), user in records.live().parts.items():
            if section == "users":
                sources = ", ".join(user.get("traffic_sources", [])) or "any"
                typer.echo(f"{name}  {user['role']}  traffic sources: {sources}")


@app.command()
def route(context: typer.Context, number: str, caller: str) -> None:
    """Where a call to a number of ours goes now, from this caller."""
    with _stack(context) as records:
        try:
            found = records.route(phone.e164(number, "US"), phone.e164(caller, "US"))
        except ValueError:
            _fail("NUMBER and CALLER must be telephone numbers, like +18005550100.")
        if found is None:
            _fail("Nowhere: no live sale has this number, for this caller.")
        typer.echo(f"{found.name} (buyer {found.buyer_id}) at {found.number}, until {_clock(found.until)}")


@tokens.command()
def issue(context: typer.Context, user: str) -> None:
    """Make a token for a user. It is shown once and kept nowhere."""
    with _stack(context) as records:
        issued, secret = records.issue(user)
        typer.echo(f"Token {issued.id} of {issued.user}. Keep it; it is not shown again:")
        typer.echo(secret)


@tokens.command("list")
def list_tokens(context: typer.Context, user: Annotated[str, typer.Argument(help="Only this user's.")] = "") -> None:
    """Which tokens there are, without their secrets."""
    with _stack(context) as records:
        for token in records.tokens(user):
            typer.echo(f"{token.id}  {token.user}  issued {_clock(token.issued_at)}")


@tokens.command()
def revoke(context: typer.Context, token_id: str) -> None:
    """End a token, by its id."""
    with _stack(context) as records:
        revoked = records.revoke(token_id)
        typer.echo(f"Token {revoked.id} of {revoked.user} is accepted nowhere any more, within a minute.")


@contextmanager
def _stack(context: typer.Context) -> Iterator[Records]:
    """The stack's records. What goes wrong with it is one sentence."""
    target: Target = context.obj
    try:
        if target.stage:
            yield _of_stage(target.stage)
        elif any(name.startswith(settings.PREFIX) and name.endswith("_TABLE") for name in os.environ):
            yield _deployed()
        else:
            yield _local(target.data)
    except (Refused, MissingSetting) as refused:
        _fail(str(refused))
    except TemporarilyUnavailable:
        _fail("The tables do not answer, so it is not known whether it was done. Try again in a minute.")


def _of_stage(stage: str) -> Records:
    """By what the stage's stack says of itself. Raises `Refused`."""
    name = f"ringpost-{stage}"
    session = botocore.session.get_session()
    if region := os.environ.get("AWS_REGION"):  # which the CDK reads, and botocore does not
        session.set_config_variable("region", region)
    try:
        cloudformation: Any = session.create_client("cloudformation")
        [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
        tables = Settings(
            config_table=outputs["ConfigTable"],
            pings_table=outputs["PingsTable"],
            leases_table=outputs["LeasesTable"],
            secret_arn=outputs["SecretArn"],
        )
        secrets = cast("SecretsManagerClient", session.create_client("secretsmanager"))
        secret = secrets.get_secret_value(SecretId=tables.secret_arn)["SecretString"]
        client = cast("DynamoDBClient", session.create_client("dynamodb", config=runtime.SDK))
    except KeyError:
        raise Refused(f"The stack {name} is {stack['StackStatus']}: not deployed to its end.") from None
    except (BotoCoreError, ClientError) as fault:
        if "does not exist" in str(fault):
            raise Refused(f"There is no stack {name} in this account and region.") from None
        raise Refused(f"AWS did not say what is in the stack {name}: {fault}") from None
    return Records(Dynamo(client, tables), keys.derive(secret.encode()), lambda: int(time.time()))


def _deployed() -> Records:
    world = runtime.world()
    dynamo = world.compiled.dynamo
    return Records(Dynamo(dynamo.client, dynamo.settings), world.keys, world.now)


def _local(data: Path) -> Records:
    """Raises `Refused` if it is not running."""
    try:
        said = json.loads((data / SERVICE).read_text())
        address = urlsplit(said["endpoint_url"])
        socket.create_connection((address.hostname or "", address.port or 80), timeout=1).close()
    except OSError:
        raise Refused(f"The local service of {data} is not running. Start it with `make run`.") from None
    secret = (data / "secret").read_text()
    stack = settings.read({**said["tables"], f"{settings.PREFIX}SECRET": secret})
    dynamo = Dynamo(engine.client(said["endpoint_url"]), stack)
    return Records(dynamo, keys.derive(bytes.fromhex(secret)), lambda: int(time.time()))


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


def _fail_at(file: Path, read: Document, problems: list[Problem] | tuple[Problem, ...]) -> NoReturn:
    """Every problem with its line, in the order of the file."""
    located = sorted((read.line(problem.path), dotted(problem.path), problem.message) for problem in problems)
    _fail("\n".join(f"{file}:{line}: {path}: {message}" for line, path, message in located))


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
