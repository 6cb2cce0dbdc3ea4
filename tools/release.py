"""`python -m tools.release VERSION`: check that a version can be released, and tag it with its notes. It pushes
nothing."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import typer

from tools.target import ROOT, fail

GOLDEN = "tests/golden"
NEXT, WORLD = "next", "world.json.gz"


def release(version: str, root: Path = ROOT) -> None:
    """Tag a version. Its notes are its section of CHANGELOG.md."""
    faults = [*faults_of(version, root)]
    if faults:
        fail("\n".join(["This version is not ready for a release:", *faults]))
    text = notes(root, version)
    _git(root, "tag", "--annotate", f"v{version}", "--cleanup=verbatim", "--message", f"Ringpost {version}\n\n{text}")
    typer.echo(f"{text}\n\nTagged v{version}. To publish it:\n")
    typer.echo(f"git push origin v{version}\ngh release create v{version} --notes-from-tag")


def faults_of(version: str, root: Path) -> Iterator[str]:
    """What is missing for a release, with what to do."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        yield "A version has three numbers, like 0.1.0."
        return
    if changed := _git(root, "status", "--porcelain"):
        yield f"Commit or remove what is not committed: {', '.join(line[3:] for line in changed.splitlines())}."
    if _git(root, "tag", "--list", f"v{version}"):
        yield f"The tag v{version} exists. Take a later version."
    if f'\nversion = "{version}"\n' not in (root / "pyproject.toml").read_text():
        yield f'Set version = "{version}" in pyproject.toml, then run make sbom.'
    if not notes(root, version):
        yield f"Give CHANGELOG.md a section `## {version}`."
    if _golden(root, version) != _golden(root, NEXT) or not (root / GOLDEN / version / WORLD).exists():
        yield f"Write the golden values: make golden VERSION={version}."


def notes(root: Path, version: str) -> str:
    """The section of a version in CHANGELOG.md; empty if there is none."""
    text = (root / "CHANGELOG.md").read_text()
    found = re.search(rf"^## {re.escape(version)}\b[^\n]*\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def _golden(root: Path, name: str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (root / GOLDEN / name).glob("*.json")}


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        fail(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.rstrip()


if __name__ == "__main__":
    typer.run(release)
