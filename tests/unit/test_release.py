"""A release: what stops it, and what it tags."""

import subprocess
from pathlib import Path

import pytest
import typer

from tools import release

CHANGELOG = "# Changelog\n\n## 0.2.0 (2027-01-31)\n\n- Calls.\n\n### For operators\n\n- More.\n\n## 0.1.0\n\n- First.\n"


def git(root: Path, *arguments: str) -> str:
    names = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    return subprocess.run(["git", *names, *arguments], cwd=root, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that can release 0.2.0."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.com")
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    for version in ("0.1.0", "0.2.0", "next"):
        (tmp_path / "tests/golden" / version).mkdir(parents=True)
        (tmp_path / "tests/golden" / version / "ping.json").write_text("{}" if version != "0.1.0" else "[]")
    (tmp_path / "tests/golden/0.2.0/world.json.gz").touch()
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "All")
    return tmp_path


def test_a_version_that_is_ready_is_tagged_with_its_notes(ready: Path, capsys: pytest.CaptureFixture[str]) -> None:
    release.release("0.2.0", ready)
    said = git(ready, "tag", "--list", "--format=%(contents)", "v0.2.0")
    assert said.strip() == "Ringpost 0.2.0\n\n- Calls.\n\n### For operators\n\n- More."
    assert "git push origin v0.2.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("notes.txt", "", "Commit or remove what is not committed: notes.txt."),
        ("pyproject.toml", '[project]\nversion = "0.1.0"\n', 'Set version = "0.2.0" in pyproject.toml'),
        ("CHANGELOG.md", "# Changelog\n\n## 0.2.01\n\n- Other.\n", "Give CHANGELOG.md a section `## 0.2.0`."),
        ("tests/golden/next/ping.json", "[1]", "make golden VERSION=0.2.0"),
        ("tests/golden/next/sale.json", "{}", "make golden VERSION=0.2.0"),
    ],
)
def test_what_is_missing_stops_it_and_is_named(
    ready: Path, capsys: pytest.CaptureFixture[str], file: str, text: str, fault: str
) -> None:
    (ready / file).write_text(text)
    if file != "notes.txt":
        git(ready, "add", "--all")
        git(ready, "commit", "--quiet", "--message", "A change")
    with pytest.raises(typer.Exit):
        release.release("0.2.0", ready)
    assert fault in capsys.readouterr().err
    assert git(ready, "tag") == ""


def test_a_version_without_a_golden_world_is_not_ready(ready: Path) -> None:
    git(ready, "rm", "--quiet", "tests/golden/0.2.0/world.json.gz")
    git(ready, "commit", "--quiet", "--message", "Without")
    assert [*release.faults_of("0.2.0", ready)] == ["Write the golden values: make golden VERSION=0.2.0."]


@pytest.mark.parametrize(("version", "fault"), [("0.2", "three numbers"), ("v0.2.0", "three numbers")])
def test_a_version_has_three_numbers(ready: Path, version: str, fault: str) -> None:
    [found] = release.faults_of(version, ready)
    assert fault in found


def test_a_version_is_released_once(ready: Path) -> None:
    release.release("0.2.0", ready)
    assert [*release.faults_of("0.2.0", ready)] == ["The tag v0.2.0 exists. Take a later version."]
