"""Locks, licenses and the bill of materials: that they are right here, and that what is wrong is seen."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tools import supply

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def replaced(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def test_what_is_locked_and_listed_is_right() -> None:
    assert CliRunner().invoke(supply.app, ["check"]).output == ""


@pytest.mark.parametrize(
    ("file", "change", "fault"),
    [
        ("requirements/dev.in", lambda text: text + "not-locked\n", "dev.txt lacks not-locked"),
        ("requirements/functions.in", replaced("pydantic", "pydantic>=99"), "functions.in asks for pydantic>=99"),
        ("requirements/run.txt", lambda text: text + "left-pad==1.0\n", "run.txt: left-pad has no hash"),
        ("requirements/run.txt", lambda text: text + "a>=1 --hash=sha256:" + "0" * 64, "run.txt: a has no version"),
        ("requirements/run.txt", lambda text: "--index-url https://example.com\n" + text, "names an address"),
        ("requirements/run.txt", lambda text: text + "b @ https://example.com/b.whl\n", "names an address"),
        ("package-lock.json", replaced('"integrity": "sha512-', '"integrity": "sha1-'), "has no sha512"),
        ("package-lock.json", replaced('"dev": true', '"resolved": "https://example.com/x"'), "names an address"),
        ("package.json", replaced("11.1.0", "11.1.1"), "has other dependencies than package.json"),
    ],
)
def test_a_fault_of_a_lock_is_named(copied: Path, file: str, change: Callable[[str], str], fault: str) -> None:
    assert list(supply.faults_of_locks(copied)) == []
    path = copied / file
    path.write_text(change(path.read_text()))
    assert any(fault in found for found in supply.faults_of_locks(copied))


@pytest.mark.parametrize(
    ("expression", "is_allowed"),
    [
        ("MIT", True), ("Apache-2.0 OR GPL-3.0-only", True), ("Apache-2.0 AND MIT", True),
        ("(MIT OR Apache-2.0)", True),
        ("GPL-3.0-only", False), ("MIT AND AGPL-3.0-or-later", False), ("not said", False), ("", False),
    ],
)  # fmt: skip
def test_a_license_is_allowed_only_by_the_list(expression: str, is_allowed: bool) -> None:
    assert supply.is_allowed(expression) is is_allowed


def test_the_table_names_the_license_of_the_engine_inside_a_package() -> None:
    assert "Amazon DynamoDB Local License" in supply.license_table([])


def test_the_bill_names_everything_that_is_deployed_and_is_the_same_each_time() -> None:
    bill = json.loads(supply.bill(supply.components()))
    assert bill == json.loads(supply.bill(supply.components()))
    names = {entry["name"] for entry in bill["components"] if entry["scope"] == "required"}
    assert names == {*supply.read_lock((ROOT / "requirements/functions.txt").read_text())}
    assert all(entry["licenses"][0]["expression"] for entry in bill["components"])


@pytest.mark.parametrize(
    ("answer", "said", "code"),
    [
        ('{"dependencies": [{"name": "a", "vulns": []}]}', "PyPI: nothing known.", 0),
        ('{"dependencies": [{"name": "a", "vulns": [{"id": "X-1"}]}]}', "PyPI: a.", 1),
        ("", "PyPI was not asked: its list of vulnerabilities is not available here", 0),
    ],
)
def test_an_audit_fails_only_for_what_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, said: str, code: int
) -> None:
    """Programs in the place of both: npm's gives no answer."""
    for name, text in (("pip-audit", answer), ("npm", "")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{text}'\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    done = CliRunner().invoke(supply.app, ["audit", str(tmp_path / "pip-audit")])
    assert said in done.output
    assert "npm was not asked" in done.output
    assert done.exit_code == code
