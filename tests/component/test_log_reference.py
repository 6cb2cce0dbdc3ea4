"""The reference names every log line and every field that code writes, and no other."""

import ast
import json
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from shared.domain.models import Provider
from shared.http.serving import log
from shared.providers import exchange, local
from shared.providers.instructions import Hangup
from shared.providers.webhooks import Secrets
from tests.build import REQUEST_ID, Publisher, Stage, an_endpoint, an_event
from tests.office import as_user, opened
from tests.reference import names, tables
from tests.watchers import Visitor
from tools.engine import ROOT

REQUEST = "request"


def calls_with_extra() -> Iterator[tuple[str, set[str]]]:
    """The message of each line, and its fields if they stand in the call or just before it."""
    for folder in ("shared", "functions"):
        for path in (ROOT / folder).rglob("*.py"):
            for function in ast.walk(ast.parse(path.read_text())):
                if isinstance(function, ast.FunctionDef):
                    yield from of_function(function)


def of_function(function: ast.FunctionDef) -> Iterator[tuple[str, set[str]]]:
    inside = [*ast.walk(function)]
    local = {ast.unparse(each.targets[0]): each.value for each in inside if isinstance(each, ast.Assign)}
    for call in inside:
        for extra in (keyword.value for keyword in getattr(call, "keywords", []) if keyword.arg == "extra"):
            assert isinstance(call, ast.Call)
            found = local.get(ast.unparse(extra), extra)
            assert isinstance(found, ast.Dict), ast.unparse(call)
            yield ast.literal_eval(call.args[0]), {ast.literal_eval(key) for key in found.keys if key}


def written(records: list[str]) -> dict[str, set[str]]:
    """The fields of the lines, by message."""
    found: dict[str, set[str]] = {}
    for line in map(json.loads, records):
        found.setdefault(line["message"], set()).update(line)
    return found


def send_what_is_not_read() -> None:
    """A webhook of a call that lacks everything but its signature."""
    at, form = str(int(time.time())), {"AccountSid": "local"}
    signature = local.sign("key", at, urlencode(form).encode())
    event = an_event(path="/calls/main/voice", form=form, headers={local.TIMESTAMP: at, local.SIGNATURE: signature})
    provider, secrets = Provider("main", "local", "local"), Secrets(account="local", keys=("key",))
    exchange.serve(event, REQUEST_ID, lambda _: (provider, secrets), lambda *_: Hangup(), lambda: None)


def test_every_log_line_and_field_is_documented(
    stage: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(stage)
    olga, visitor = as_user(stage, "olga"), Visitor(stage, "olga")
    olga.get("/offers")
    visitor.get("/sources")
    stage.publish(an_endpoint())
    publisher = Publisher(stage)
    publisher.ping()
    monkeypatch.setattr("shared.domain.matching.bids", None)
    publisher.ping()
    send_what_is_not_read()
    with log.append_context_keys(version="0.1.0"):  # as every line of a deployed function has it
        lines = [log.registered_formatter.format(record) for record in caplog.records if record.message == REQUEST]
    fields = written(lines)
    common = fields[REQUEST] & {"level", "location", "message", "timestamp", "service", "version"}
    for message, found in calls_with_extra():
        fields.setdefault(message, set(common)).update(found)

    documented = tables("metrics.md", "Field")[0].by_name()
    messages = {message for row in documented.values() for message in names(row["In"])}
    assert {
        message: {name for name, row in documented.items() if row["In"] == "all" or message in names(row["In"])}
        for message in messages
    } == fields
    assert {*names(documented["message"]["Meaning"])} == messages
