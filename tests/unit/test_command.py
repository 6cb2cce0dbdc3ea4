"""The operator's command as a whole: what it imports, its help, its completion, and the script that starts it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from infra.version import version
from tools import command
from tools.command import SECTIONS, Lazy

ROOT = Path(__file__).parents[2]
SLOW = ("botocore", "pydantic", "phonenumbers", "shared.flows", "shared.store.records", "rich.progress")
COMMANDS = {name: target for commands in SECTIONS.values() for name, target in commands.items()}


def called(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.command", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def words(*typed: str) -> list[str]:
    """What a shell is offered after these words, the last of which is incomplete."""
    asked = {"_RINGPOST_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(typed), "COMP_CWORD": str(len(typed) - 1)}
    return called(**asked).stdout.split()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["completion", "bash"]], ids=" ".join)
def test_what_needs_no_stack_imports_nothing_slow(arguments: list[str]) -> None:
    says = (
        f"import sys; sys.argv[1:] = {arguments!r}\n"
        "from tools import command\n"
        f"try: command.main()\nfinally: sys.stderr.write(str([n for n in {SLOW!r} if n in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", says], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout
    assert done.stderr == "[]"


def test_check_imports_nothing_that_only_a_stack_needs() -> None:
    says = "import sys, tools.document; print([n for n in ('botocore', 'shared.flows') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", says], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_is_that_of_its_source(name: str) -> None:
    lazy = Lazy(name, COMMANDS[name], "")
    loaded = lazy.load()
    assert lazy.help
    assert " ".join(lazy.help.split()) == " ".join((loaded.help or "").split())
    assert lazy.short_help
    assert lazy.short_help.endswith(".")


def arguments(found: Any) -> list[Any]:
    """All positional arguments of a command, or of the commands of a group."""
    if subcommands := getattr(found, "commands", None):
        return [argument for each in subcommands.values() for argument in arguments(each)]
    return [each for each in found.params if each.param_type_name == "argument"]


@pytest.mark.parametrize("name", COMMANDS)
def test_an_argument_is_named_in_capitals_and_explained(name: str) -> None:
    for argument in arguments(Lazy(name, COMMANDS[name], "").load()):
        assert (argument.metavar or "").isupper(), argument.name
        assert argument.help, argument.name


def test_the_help_has_every_command_once_below_its_section() -> None:
    lines = called("--help", COLUMNS="200").stdout.splitlines()
    for section, commands in SECTIONS.items():
        start = next(place for place, line in enumerate(lines) if f"─ {section} ─" in line)
        shown = [line.split()[1] for line in lines[start + 1 : start + 1 + len(commands)]]
        assert shown == [*commands]


def test_the_version_is_that_of_the_project() -> None:
    assert called("--version").stdout == f"ringpost {version()}\n"


def test_a_shell_is_offered_commands_and_their_options() -> None:
    assert words("ringpost", "sup") == ["suppression"]
    assert words("ringpost", "tokens", "re") == ["revoke"]
    assert "--yes-remove-operator" in words("ringpost", "apply", "--y")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_calls_this_ringpost(shell: str) -> None:
    script = called("completion", shell).stdout
    assert str(ROOT / "ringpost") in script
    assert "_RINGPOST_COMPLETE=" in script


def test_bash_takes_the_completion_script() -> None:
    script = called("completion", "bash").stdout
    done = subprocess.run(["bash"], input=f"{script}\ncomplete -p ringpost", capture_output=True, text=True, check=True)
    assert "_ringpost_completion" in done.stdout


def test_a_file_that_is_right_is_described_to_a_program() -> None:
    said = json.loads(called("check", "--json", "examples/marketplace.yaml").stdout)
    assert said == {"offers": 3, "endpoints": 5, "warnings": []}


class Became(Exception):
    pass


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command line that takes the command's place."""
    found: list[str] = []

    def take(_: str, line: tuple[str, ...]) -> None:
        found.extend(line)
        raise Became

    monkeypatch.setattr(os, "execvp", take)
    monkeypatch.setattr(os, "chdir", lambda _: None)
    return found


def test_run_is_the_local_run_with_its_options(became: list[str], tmp_path: Path) -> None:
    CliRunner().invoke(command.app, ["--data", str(tmp_path), "run", "--port", "8001"])
    assert became == [
        sys.executable, "-m", "tools.local", "--port", "8001", "--workers", "2", "--data", str(tmp_path),
    ]  # fmt: skip


def test_deploy_is_make_with_the_stage_and_place(became: list[str]) -> None:
    CliRunner().invoke(command.app, ["--stage", "dev", "deploy", "--region", "eu-west-1"])
    assert became == ["make", "--silent", "deploy", "STAGE=dev", "REGION=eu-west-1"]


def test_a_region_has_to_be_named_before_anything_is_installed(
    became: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    placeless = CliRunner().invoke(command.app, ["--stage", "dev", "deploy"])
    assert (placeless.exit_code, became) == (1, [])
    assert placeless.stderr.startswith("No region is named. Give --region eu-west-1")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    CliRunner().invoke(command.app, ["--stage", "dev", "deploy"])
    assert became == ["make", "--silent", "deploy", "STAGE=dev"]


def test_a_stage_has_to_be_named_and_its_removal_confirmed(became: list[str]) -> None:
    nameless = CliRunner().invoke(command.app, ["destroy"])
    assert (nameless.exit_code, nameless.stderr) == (1, "Name the stage: ringpost --stage dev destroy\n")
    doubtful = CliRunner().invoke(command.app, ["--stage", "dev", "destroy"], input="prod\n")
    assert (doubtful.exit_code, became) == (1, [])
    CliRunner().invoke(command.app, ["--stage", "dev", "destroy", "--region", "eu-west-1"], input="dev\n")
    assert became == ["make", "--silent", "destroy", "STAGE=dev", "REGION=eu-west-1"]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with nothing in it but the script, and programs that say how they were called."""
    (tmp_path / "ringpost").write_bytes((ROOT / "ringpost").read_bytes())
    for path in ("requirements/run.txt", "package-lock.json", ".venv/bin/python", "path/make"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / ".venv/bin/python").write_text('#!/bin/sh\necho "python $*"\n')
    (tmp_path / "path/make").write_text('#!/bin/sh\necho "make $*"\nshift 2\ntouch "$1/$2"\n')
    for program in ("ringpost", ".venv/bin/python", "path/make"):
        (tmp_path / program).chmod(0o755)
    return tmp_path


def started(clone: Path) -> tuple[str, str]:
    path = f"{clone / 'path'}:{os.environ['PATH']}"
    done = subprocess.run(
        [clone / "ringpost", "check", "my file"],
        env={"PATH": path},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, done.stderr


def test_the_script_sets_itself_up_once_and_after_the_locks_changed(clone: Path) -> None:
    python, make = "python -P -m tools.command check my file\n", f"make --silent --directory {clone} .venv/run.stamp\n"
    assert started(clone) == (python, make)
    assert started(clone) == (python, "")
    os.utime(clone / ".venv/run.stamp", (1, 1))
    assert started(clone) == (python, make)


def test_a_file_is_named_from_where_the_operator_is(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('not this one')")
    (tmp_path / "mine.yaml").write_text("users: 1")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tools.command", "check", "mine.yaml"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.startswith("mine.yaml:1: users: ")
