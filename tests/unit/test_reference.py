"""The reference pages and the code have the same names: none is missing, and none is left over."""

import inspect
import re
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
import typer
from pydantic import PlainSerializer
from pydantic.fields import FieldInfo

from shared import settings
from shared.configuration import Configuration
from shared.configuration.shapes import Part
from shared.domain import filters
from shared.domain.matching import Rule
from shared.domain.models import FieldType
from shared.domain.refusals import InternalError
from shared.office import rest
from shared.publishers import answers, metrics
from shared.publishers.posting_instructions import COLUMNS, MEANINGS
from shared.settings import PREFIX, MissingSetting
from tests.reference import names, table, tables
from tools import demo
from tools.command import Lazy, app
from tools.engine import ROOT

PRODUCT = ("shared", "functions", "infra", "tools")


# The configuration file


def parts_of(annotation: Any) -> Iterator[type[Part]]:
    """The parts that a key can hold."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias) and issubclass(annotation, Part):
        yield annotation
    for inside in get_args(annotation):
        yield from parts_of(inside)


def sections() -> dict[frozenset[str], type[Part]]:
    """Every part of the file, by the keys that hold it; the whole is under no key."""
    keys: dict[type[Part], set[str]] = {Configuration: set()}
    unseen: list[type[Part]] = [Configuration]
    while unseen:
        for key, field in unseen.pop().model_fields.items():
            for part in parts_of(field.annotation):
                unseen += [] if part in keys else [part]
                keys.setdefault(part, set()).add(key)
    return {frozenset(found): part for part, found in keys.items()}


def documented_sections() -> dict[frozenset[str], dict[str, dict[str, str]]]:
    return {frozenset(names(each.heading)): each.by_name() for each in tables("configuration.md", "Key")}


def limits(annotation: Any, metadata: list[Any]) -> Iterator[Any]:
    """What pydantic is told of a value, and of what is inside of it if it may be None."""
    for told in metadata:
        yield from limits(None, told.metadata) if isinstance(told, FieldInfo) else [told]
    if get_origin(annotation) is Annotated:
        yield from limits(annotation.__origin__, [*annotation.__metadata__])
    elif type(None) in get_args(annotation):
        for inside in get_args(annotation):
            yield from limits(inside, [])


def choices(annotation: Any) -> list[str]:
    """The words of which a value is one, or of which a list is made."""
    if get_origin(annotation) is Literal:
        return [*get_args(annotation)]
    if annotation is bool:
        return ["true", "false"]
    return [word for inside in get_args(annotation) for word in choices(inside)]


def default(field: FieldInfo) -> str:
    """As the page says it."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Part) or value in (None, "", (), {}):
        return "none"
    if isinstance(value, tuple):
        return f"`{value[0]}`" if len(value) == 1 else "see below"
    shown = [told.func for told in limits(field.annotation, field.metadata) if isinstance(told, PlainSerializer)]
    return f"`{shown[0](value) if shown else str(value).lower() if isinstance(value, bool) else value}`"  # type: ignore[call-arg]


def test_every_key_of_the_file_is_documented_and_no_other() -> None:
    documented = {keys: set(rows) for keys, rows in documented_sections().items()}
    assert documented == {keys: set(part.model_fields) for keys, part in sections().items()}


def test_the_defaults_and_limits_of_keys_are_the_documented_ones() -> None:
    documented = documented_sections()
    for keys, part in sections().items():
        for key, field in part.model_fields.items():
            row = documented[keys][key]
            told = [*limits(field.annotation, field.metadata)]
            bounds = [getattr(each, side) for side in ("ge", "le") for each in told if hasattr(each, side)]
            assert row["Default"] == default(field), (keys, key)
            assert not bounds or " to ".join(map(str, bounds)) in row["Value"], (keys, key, bounds)
            if default(field) != "see below" and (words := choices(field.annotation)):
                assert [word for word in names(row["Value"]) if word.isidentifier()] == words, (keys, key)


def test_the_columns_and_the_types_of_contact_fields_are_documented() -> None:
    [columns], [kinds] = tables("configuration.md", "Column"), tables("configuration.md", "Type")
    assert {name: row["Meaning"] for name, row in columns.by_name().items()} == COLUMNS
    assert [*kinds.by_name()] == [*get_args(FieldType)]


# Filters


def test_every_filter_operator_is_documented_with_an_example_that_works() -> None:
    [operators] = tables("filters.md", "Operator")
    assert [*operators.by_name()] == [*filters.OPERATORS]
    for operator, row in operators.by_name().items():
        [example] = names(row["Example"])
        read = filters.read(example)
        _, holds = filters.test(read)
        assert read.operator == operator
        assert names(row["Passes"])
        assert all(map(holds, names(row["Passes"]))), row
        assert not any(map(holds, names(row["Does not pass"]))), row


# Statuses


def test_every_status_of_publishers_is_documented_with_the_words_of_posting_instructions() -> None:
    of_publishers = table("statuses.md", "Status", "Of PING, POST and FULL")
    documented = [(row["HTTP"], row["When"], row["What the publisher does"]) for row in of_publishers.rows]
    assert [*of_publishers.by_name()] == [refusal.status for refusal in answers.HTTP_STATUS]
    assert documented == [(str(code), *MEANINGS[refusal]) for refusal, code in answers.HTTP_STATUS.items()]


def test_every_status_of_the_operators_api_is_documented() -> None:
    of_operators = table("statuses.md", "Status", "Of the operators' API").by_name()
    codes = {objection.status: code for objection, code in rest.HTTP_STATUS.items()} | {InternalError.status: 500}
    assert {status: int(row["HTTP"]) for status, row in of_operators.items()} == codes


def test_every_reason_of_a_buyer_is_documented_in_the_order_of_checking() -> None:
    [rules] = tables("statuses.md", "Rule")
    assert [*rules.by_name()] == [rule.value for rule in Rule]


# Commands


def commands(command: Any, path: str = "") -> Iterator[tuple[str, set[str]]]:
    """Each with its arguments, and its options."""
    command = command.load() if isinstance(command, Lazy) else command
    if inside := getattr(command, "commands", None):
        for name, each in inside.items():
            yield from commands(each, f"{path}{name} ")
        return
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    signs = [each.human_readable_name.upper() for each in arguments]
    signature = [sign if each.required else f"[{sign}]" for sign, each in zip(signs, arguments, strict=True)]
    yield " ".join([path.strip(), *signature]), options(command)


def options(command: Any) -> set[str]:
    found = {each.opts[0] for each in command.params if each.param_type_name == "option"}
    return found - {"--help"}


def test_every_command_is_documented_with_its_options() -> None:
    [documented], [of_all] = tables("commands.md", "Command"), tables("commands.md", "Option")
    command = typer.main.get_command(app)
    found = {name: set(names(row["Options"])) for name, row in documented.by_name().items()}
    assert found == dict(commands(command))
    assert {*of_all.by_name()} == options(command)


def test_every_target_and_variable_of_make_is_documented() -> None:
    makefile = (ROOT / "Makefile").read_text()
    [targets], [variables] = tables("commands.md", "Target"), tables("commands.md", "Variable")
    phony = re.search(r"^\.PHONY: (.*)", makefile, re.MULTILINE)
    explained = re.findall(r"^([a-z]+):.*  ## ", makefile, re.MULTILINE)
    assert phony
    assert {*targets.by_name()} == {*phony[1].split()} - {"named"} >= {*explained}
    ours = re.findall(r"^(?:export )?([A-Z_]+) :?= ", makefile, re.MULTILINE)
    used = re.findall(r"\$\((?:if \$\()?([A-Z_]+)", makefile)
    assert {*variables.by_name()} == {*used} - {*ours, "MAKECMDGOALS", "CURDIR"}


# Settings


def test_every_setting_is_documented_and_so_is_whether_it_is_needed() -> None:
    variables = tables("settings.md", "Variable")[0].by_name()
    ours = {f"{PREFIX}{name.upper()}" for name in settings.Settings.__dataclass_fields__}
    assert {*variables} == ours
    needed = {name for name, row in variables.items() if row["Needed"] == "yes"}
    whole = dict.fromkeys([*needed, "RINGPOST_SECRET"], "a value")
    settings.read(whole)
    for name in whole:
        with pytest.raises(MissingSetting, match=name):
            settings.read({other: value for other, value in whole.items() if other != name})
    for name in (name for name, row in variables.items() if row["Needed"] == "one of three"):
        settings.read({**dict.fromkeys(needed, "a value"), name: "a value"})


def test_every_other_variable_that_code_reads_is_documented() -> None:
    _, others = tables("settings.md", "Variable")
    code = "".join(path.read_text() for folder in PRODUCT for path in (ROOT / folder).rglob("*.py"))
    code += (ROOT / "app.py").read_text()
    read = re.findall(r"""environ(?:\.get\(|\[)"(\w+)"|"(\w+)" in os\.environ""", code)
    documented = {*others.by_name()}
    assert {name for pair in read for name in pair if name} | {*demo.TOKENS.values()} <= documented
    assert {name for name in documented if f'"{name}"' not in code} == set()


# Metrics


class Recorded(dict[str, str]):
    """The unit of every metric that was added."""

    metric_set = ()

    def add_metric(self, name: str, unit: Any, _value: float) -> None:
        self[name] = unit.value.lower()

    def add_dimension(self, name: str, value: str) -> None:
        pass

    def flush_metrics(self) -> None:
        pass


def test_every_metric_is_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Recorded()
    monkeypatch.setattr(metrics, "_metrics", recorded)
    values = {"int": 1, "float": 1.0, "str": "…"}
    for name, function in inspect.getmembers(metrics, inspect.isfunction):
        if function.__module__ == metrics.__name__ and not name.startswith("_"):
            needed = inspect.signature(function).parameters.items()
            function(**{each: values[getattr(of.annotation, "__name__", of.annotation)] for each, of in needed})
    documented = tables("metrics.md", "Metric")[0].by_name()
    assert {name: row["Unit"] for name, row in documented.items()} == recorded
