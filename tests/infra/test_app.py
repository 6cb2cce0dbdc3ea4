"""The app as a person runs it: with the real bundle, every check of the CDK, and cdk-nag.

The newest bundle is kept under build/, so pip runs only after the sources of the bundle have changed.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import bundle
from tests.infra.conftest import ROOT

OUT = ROOT / "build" / "tests.cdk.out"
IN_THE_RUNTIME = {"boto3", "botocore"}
AARCH64 = 183  # e_machine in the header of an ELF file


def run_app(context: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "CDK_OUTDIR": str(OUT),
        "CDK_CONTEXT_JSON": json.dumps(context),
    }
    return subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def folder() -> Path:
    """Of the bundle."""
    result = run_app({})
    assert result.returncode == 0, result.stderr
    said = [line for line in result.stderr.splitlines() if not line.startswith("Bundling asset")]
    assert (result.stdout, said) == ("", [])
    assets = json.loads((OUT / "ringpost-prod.assets.json").read_text())["files"].values()
    (name,) = (asset["source"]["path"] for asset in assets if asset["source"]["packaging"] == "zip")
    for other in OUT.glob("asset.*"):
        if other.name != name:
            shutil.rmtree(other)
    return OUT / str(name)


def imports(path: Path) -> Iterator[str]:
    """The top-level packages that a source file imports when it runs."""
    tree = ast.parse(path.read_text())
    for node in [*ast.walk(tree)]:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body.clear()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def test_without_a_choice_the_stage_is_the_one_that_protects_its_data(folder: Path) -> None:
    assert {path.name for path in folder.parent.glob("*.template.json")} == {"ringpost-prod.template.json"}


def test_an_unknown_stage_is_refused_by_name() -> None:
    result = run_app({"stage": "produ"})
    assert result.returncode == 1
    assert "there is no stage 'produ'; infra/stages.py has dev, prod" in result.stderr


def test_the_handlers_are_in_the_bundle_under_the_names_that_lambda_calls(folder: Path) -> None:
    template = json.loads((OUT / "ringpost-prod.template.json").read_text())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            module, _, function = resource["Properties"]["Handler"].rpartition(".")
            source = folder.joinpath(*module.split(".")).with_suffix(".py").read_text()
            assert re.search(rf"^(def {function}\(|{function} = )", source, re.MULTILINE)


def test_the_bundle_holds_whatever_our_code_imports(folder: Path) -> None:
    ours = [path for package in bundle.PACKAGES for path in (folder / package).rglob("*.py")]
    imported = {name for path in ours for name in imports(path)}
    there = {path.stem for path in folder.iterdir()}
    assert {"shared", "aws_lambda_powertools"} <= imported
    assert imported - there - IN_THE_RUNTIME - sys.stdlib_module_names == set()


def test_what_is_compiled_is_compiled_for_lambda(folder: Path) -> None:
    libraries = [path for path in folder.rglob("*") if ".so" in path.suffixes]
    assert {path.relative_to(folder).parts[0] for path in libraries} >= {"msgspec", "pydantic_core", "re2"}
    for path in libraries:
        assert path.name.endswith(".cpython-313-aarch64-linux-gnu.so")
        header = path.read_bytes()[:20]
        assert header[:4] == b"\x7fELF"
        assert int.from_bytes(header[18:20], "little") == AARCH64


def test_the_bundle_holds_no_caches_and_nothing_that_lambda_does_not_run_or_has_itself(folder: Path) -> None:
    assert not list(folder.rglob("__pycache__"))
    assert {path.name for path in folder.iterdir()}.isdisjoint(IN_THE_RUNTIME | {"app.py", "infra", "tests", "tools"})


def test_the_fingerprint_follows_requirements_and_sources_and_not_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, requirements = tmp_path / "shared" / "domain" / "caps.py", tmp_path / bundle.REQUIREMENTS
    cache = source.parent / "__pycache__" / "caps.cpython-313.pyc"
    recipe = tmp_path / "infra" / "bundle.py"
    for path in (source, requirements, cache, recipe):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("first")
    monkeypatch.setattr(bundle, "ROOT", tmp_path)
    monkeypatch.setattr(bundle, "__file__", str(recipe))

    seen = [bundle.fingerprint()]
    cache.write_text("second")
    assert bundle.fingerprint() == seen[0]
    for path in (source, requirements, recipe):
        path.write_text("second")
        assert bundle.fingerprint() not in seen
        seen.append(bundle.fingerprint())
