"""The project's own files: what CONTRIBUTING names exists, and the workflows call what there is."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted({*(ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")} - {ROOT / ".github/ISSUE_TEMPLATE/config.yml"})
TARGETS = set(re.findall(r"^(\w+):.*?##", (ROOT / "Makefile").read_text(), re.MULTILINE))


def read(file: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(file.read_text())
    return found


def jobs(file: Path) -> list[dict[str, Any]]:
    return [*read(file)["jobs"].values()]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_calls_what_there_is_by_commits_with_few_rights(file: Path) -> None:
    assert read(file)["permissions"] == {"contents": "read"}
    for job in jobs(file):
        assert (ROOT / job.get("uses", "README.md")).exists()
        for step in job.get("steps", []):
            assert "uses" in step or re.match(r"make (\w+)", step["run"])[1] in TARGETS  # type: ignore[index]
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step.get("uses", "a/b@" + "0" * 40))


def test_pull_requests_run_what_every_change_has_to_pass() -> None:
    file = ROOT / ".github/workflows/checks.yml"
    commands = [step["run"] for job in jobs(file) for step in job["steps"] if "run" in step]
    assert "pull_request" in read(file)[True]  # YAML reads `on` as true
    assert commands == (ROOT / ".ci/run").read_text().splitlines()[-2:]


def test_nothing_is_deployed_unless_it_is_switched_on_and_the_stage_before_it_is() -> None:
    deploy = read(ROOT / ".github/workflows/deploy.yml")["jobs"]
    assert [(name, deploy[name]["needs"], deploy[name]["with"]) for name in ("dev", "prod")] == [
        ("dev", "checks", {"stage": "dev"}),
        ("prod", "dev", {"stage": "prod"}),
    ]
    assert {deploy[name]["if"] for name in ("dev", "prod")} == {"vars.DEPLOY == 'on'"}


@pytest.mark.parametrize("file", FORMS, ids=lambda file: file.stem)
def test_an_issue_form_has_what_github_asks_for(file: Path) -> None:
    form = read(file)
    assert form["name"]
    assert form["description"]
    for field in form["body"]:
        assert field["type"] == "markdown" or (field["id"] and field["attributes"]["label"])


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md"])
def test_what_a_page_names_exists(name: str) -> None:
    text = (ROOT / name).read_text()
    targets = set(re.findall(r"^make (\w+)|`make (\w+)", text, re.MULTILINE))
    assert {one or other for one, other in targets} <= TARGETS
    paths = re.findall(r"(?:`|pytest )((?:shared|functions|infra|tests|tools|docs)/[\w./-]+)", text)
    paths += [f"tests/component/{file}" for file in re.findall(r"`(test_\w+\.py)`", text)]
    found = [path for path in paths if "NAME" not in path]
    for path in found:
        assert (ROOT / path).exists() or list((ROOT / "tests").rglob(Path(path).name)), path


def test_the_license_is_named_wherever_it_is_asked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    package, lock = (json.loads((ROOT / name).read_text()) for name in ("package.json", "package-lock.json"))
    assert {project["license"], package["license"], lock["packages"][""]["license"]} == {"Apache-2.0"}
    assert all((ROOT / name).exists() for name in project["license-files"])
    assert "Apache License" in (ROOT / "LICENSE").read_text()
