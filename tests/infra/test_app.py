"""The app as a person runs it: with the real bundles, every check of the CDK, and cdk-nag.

The newest bundles are kept under build/, so pip runs only after their sources have changed.
"""

import ast
import fnmatch
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra import bundle, stages
from tests.infra.conftest import ROOT

OUT = ROOT / "build" / "tests.cdk.out"
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
def folders() -> dict[str, Path]:
    """Of the bundles, by the handlers that are called in them."""
    result = run_app({})
    assert result.returncode == 0, result.stderr
    said = [line for line in result.stderr.splitlines() if not line.startswith("Bundling asset")]
    warned = [] if bundle.compiler() else [bundle.NO_CACHES]
    assert (result.stdout, said) == ("", warned)
    assets = json.loads((OUT / "ringpost-prod.assets.json").read_text())["files"].items()
    paths = {f"{key}.zip": asset["source"]["path"] for key, asset in assets if asset["source"]["packaging"] == "zip"}
    for other in OUT.glob("asset.*"):
        if other.name not in paths.values():
            shutil.rmtree(other)
    template = json.loads((OUT / "ringpost-prod.template.json").read_text())
    functions = [
        each["Properties"] for each in template["Resources"].values() if each["Type"] == "AWS::Lambda::Function"
    ]
    return {function["Handler"]: OUT / paths[function["Code"]["S3Key"]] for function in functions}


@pytest.fixture(scope="module", params=["ping", "call", "api"])
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    """Of the publishers' bundle, of that of telephony, and of the operators'."""
    return folders[f"functions.{request.param}.handler.lambda_handler"]


@pytest.fixture(scope="module")
def whole(folders: dict[str, Path]) -> Path:
    """The operators' bundle."""
    return folders["functions.api.handler.lambda_handler"]


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


@pytest.mark.usefixtures("folders")
def test_without_a_choice_the_stage_is_the_one_that_protects_its_data() -> None:
    assert {path.name for path in OUT.glob("*.template.json")} == {"ringpost-prod.template.json"}


@pytest.mark.parametrize(
    ("context", "sentence"),
    [
        ({"stage": "produ"}, "There is no stage 'produ'; infra/stages.py has dev, prod"),
        ({"region": "eu-mars-1"}, "There is no AWS region 'eu-mars-1'"),
        ({"account": "1234"}, "'1234' is no AWS account: its number has 12 digits"),
        ({"bundle": "docker"}, "There is no bundle 'docker': it is built for lambda or for host"),
    ],
)
def test_what_does_not_exist_is_refused_by_name(context: dict[str, str], sentence: str) -> None:
    result = run_app(context)
    assert (result.returncode, result.stderr.splitlines()[-1]) == (1, sentence)


def test_account_and_region_come_from_the_context() -> None:
    place = stages.environment("111122223333", "eu-west-1")
    assert (place.account, place.region) == ("111122223333", "eu-west-1")
    place = stages.environment("", "")
    assert (place.account, place.region) == (None, None)


@pytest.mark.parametrize("verb", ["bootstrap", "deploy", "diff", "destroy"])
def test_make_insists_on_a_stage(verb: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("STAGE", "MAKEFLAGS", "MAKELEVEL")}
    result = subprocess.run(["make", verb], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith(f"Name the stage: make {verb} STAGE=dev")
    assert not result.stdout


def test_the_handlers_are_in_the_bundle_under_the_names_that_lambda_calls(folders: dict[str, Path]) -> None:
    for handler, folder in folders.items():
        module, _, function = handler.rpartition(".")
        source = folder.joinpath(*module.split(".")).with_suffix(".py").read_text()
        assert re.search(rf"^(def {function}\(|{function} = )", source, re.MULTILINE)


def test_the_bundle_holds_whatever_our_code_imports(whole: Path) -> None:
    ours = [path for package in bundle.PACKAGES for path in (whole / package).rglob("*.py")]
    imported = {name for path in ours for name in imports(path)}
    there = {path.stem for path in whole.iterdir()}
    assert {"shared", "aws_lambda_powertools"} <= imported
    assert imported - there - sys.stdlib_module_names == set()


def test_what_is_compiled_is_compiled_for_lambda(folder: Path) -> None:
    libraries = [path for path in folder.rglob("*") if ".so" in path.suffixes]
    assert {path.relative_to(folder).parts[0] for path in libraries} >= {"aiohttp", "msgspec", "re2"}
    for path in libraries:
        assert path.name.endswith((".cpython-313-aarch64-linux-gnu.so", ".abi3.so"))
        header = path.read_bytes()[:20]
        assert header[:4] == b"\x7fELF"
        assert int.from_bytes(header[18:20], "little") == AARCH64


def test_every_module_has_a_cache_that_lambda_takes_without_a_look_at_the_source(folder: Path) -> None:
    caches = {path.relative_to(folder) for path in folder.rglob("*.pyc")}
    if not bundle.compiler():
        assert not caches
        return
    modules = {path.relative_to(folder) for path in folder.rglob("*.py")}
    assert caches == {path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc" for path in modules}
    for path in caches:
        flags = int.from_bytes((folder / path).read_bytes()[4:8], "little")
        assert flags == 0b01, path  # valid by hash, and the hash is not checked


def test_the_bundle_holds_nothing_that_no_function_runs(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()}.isdisjoint({"app.py", "bin", "boto3", "infra", "tests", "tools"})
    assert set(bundle.SERVICES) - {"dynamodbstreams", "s3"} <= {
        path.name for path in (folder / "botocore" / "data").glob("*/")
    }
    assert {path.name for path in (folder / "botocore" / "data").glob("*/")} <= set(bundle.SERVICES)
    addresses = json.loads((folder / "botocore" / "data" / "endpoints.json").read_text())
    assert addresses["partitions"][0]["services"].keys() == bundle.ADDRESSES
    for pattern in bundle.TRIMMED:
        assert not list(folder.glob(pattern)), pattern
    assert {path.name for path in folder.glob("*.dist-info/*")} == {"METADATA"}


def test_the_bundle_has_our_license_and_those_of_all_its_packages(folder: Path) -> None:
    for path in bundle.PAPERS:
        assert (folder / path).read_bytes() == (ROOT / path).read_bytes()
    named = (folder / bundle.NOTICES).read_text().splitlines()
    packages = [path.stem.replace("-", " ") for path in folder.glob("*.dist-info")]
    assert packages
    assert all(any(package in line.split(", ") for line in named) for package in packages)


def test_a_package_without_the_text_of_its_license_is_not_bundled(tmp_path: Path) -> None:
    about = tmp_path / "left_pad-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("License: MIT\n")
    with pytest.raises(bundle.BundleFailed, match=r"left_pad-1\.0 has no text of its license"):
        bundle.notices(tmp_path)


def lies_in(name: str, place: str) -> bool:
    """Whether a file is of a folder, or is a module or its cache."""
    folder, _, module = place.rpartition("/")
    return name.startswith((f"{place}/", f"{folder}/__pycache__/{module.removesuffix('.py')}.")) or name == place


def test_the_bundle_of_publishers_is_the_other_without_what_only_operators_need(folders: dict[str, Path]) -> None:
    lean, whole = (contents(folders[f"functions.{name}.handler.lambda_handler"]) for name in ("ping", "api"))
    assert lean.items() <= whole.items()
    office = {place: {name for name in whole if lies_in(name, place)} for place in bundle.OFFICE}
    assert all(office.values()), office
    assert lean.keys().isdisjoint(set().union(*office.values()))
    less = whole.keys() - lean.keys() - set().union(*office.values())
    found = {
        pattern: {name for name in less if fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(name, f"{pattern}/*")}
        for pattern in (*bundle.OPERATORS_ONLY, *bundle.SIGNATURES)
    }
    assert all(found.values()), found
    assert set().union(*found.values()) == less


def test_the_bundle_of_telephony_is_that_of_publishers_with_what_checks_signatures(folders: dict[str, Path]) -> None:
    lean, more = (contents(folders[f"functions.{name}.handler.lambda_handler"]) for name in ("ping", "call"))
    assert lean.items() <= more.items()
    assert {name.partition("/")[0].partition("-")[0].partition(".")[0] for name in more.keys() - lean.keys()} == {
        "cryptography", "cffi", "_cffi_backend", "pycparser",
    }  # fmt: skip


def test_modes_and_times_are_those_of_every_bundle(folder: Path) -> None:
    for path in folder.rglob("*"):
        stat = path.stat()
        assert stat.st_mtime == bundle.FIXED_TIME
        assert stat.st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)


def test_the_same_sources_make_the_same_bundle(whole: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    bundle.build(bundle.target(), again)
    assert contents(again) == contents(whole)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_bundle_for_this_machine_can_be_imported_on_it(tmp_path: Path) -> None:
    folder = tmp_path / "asset"
    folder.mkdir()
    bundle.publish(bundle.for_publishers(bundle.target("host")), folder)
    says = (
        "import sys, re2, functions.post.handler as h, botocore, phonenumbers as p; "
        "assert p.is_possible_number(p.parse('+44 20 7946 0100')); print(h.__cached__, botocore.__file__)"
    )
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(folder)!r}); {says}"]
    imported = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert all(Path(path).is_relative_to(folder) and Path(path).exists() for path in imported)
    assert importlib.util.cache_from_source("handler.py").rpartition("/")[2] in imported[0]
    assert list(tmp_path.iterdir()) == [folder]


def test_the_bundle_of_telephony_checks_a_signature_of_telnyx(tmp_path: Path) -> None:
    folder = tmp_path / "asset"
    folder.mkdir()
    bundle.publish(bundle.targets(bundle.target("host"))["telephony"], folder)
    says = (
        "import base64, shared.providers.telnyx as t; from shared.providers.webhooks import Webhook, Secrets; "
        "from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey as K; k = K.generate(); "
        "signed = base64.b64encode(k.sign(b'9|AccountSid=a')).decode(); "
        "h = {'telnyx-timestamp': '9', 'telnyx-signature-ed25519': signed}; "
        "s = Secrets(account='a', keys=(base64.b64encode(k.public_key().public_bytes_raw()).decode(),)); "
        "print(t.is_authentic(Webhook(url='', headers=h, body=b'AccountSid=a', received_at=9), s), "
        "t.is_authentic(Webhook(url='', headers=h, body=b'AccountSid=b', received_at=9), s))"
    )
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(folder)!r}); {says}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True False\n"


def test_what_pip_cannot_install_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, requirements = tmp_path / "asset", tmp_path / "requirements.txt"
    folder.mkdir()
    requirements.write_text("ringpost-is-not-a-package\n")
    monkeypatch.setattr(bundle, "REQUIREMENTS", requirements)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as the CDK's command says to its app
    with pytest.raises(SystemExit) as fault:
        bundle.LocalBundling(bundle.target()).try_bundle(str(folder), image=None)  # type: ignore[arg-type]
    assert str(fault.value) == (
        f"The bundle for lambda was not built, because pip could not install {requirements}: "
        "No matching distribution found for ringpost-is-not-a-package"
    )
    assert list(tmp_path.iterdir()) == [requirements]  # a folder, even an empty one, would be taken for a bundle


def test_without_a_compiler_there_is_a_bundle_and_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    with_one = bundle.fingerprint(bundle.target())
    monkeypatch.setattr(bundle, "version_of", lambda _: "")
    assert bundle.target().compiler is None
    assert bundle.fingerprint(bundle.target()) != with_one
    monkeypatch.setattr(bundle, "version_of", lambda _: "cpython-3.13.0-candidate")
    assert bundle.target().compiler is None
    monkeypatch.setattr(bundle, "version_of", lambda _: "cpython-3.13.7-final")
    assert bundle.target().compiler


def test_a_python_that_does_not_run_is_no_compiler(tmp_path: Path) -> None:
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    assert bundle.version_of(str(shim)) == bundle.version_of(str(tmp_path / "none")) == ""
    assert bundle.version_of(sys.executable).startswith("cpython-3.")


def test_the_fingerprint_follows_requirements_sources_target_and_compiler_and_not_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, requirements = tmp_path / "shared" / "domain" / "caps.py", tmp_path / bundle.REQUIREMENTS
    cache = source.parent / "__pycache__" / "caps.cpython-313.pyc"
    recipe = tmp_path / "infra" / "bundle.py"
    for path in (source, requirements, cache, recipe, *(tmp_path / paper for paper in bundle.PAPERS)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("first")
    monkeypatch.setattr(bundle, "ROOT", tmp_path)
    monkeypatch.setattr(bundle, "__file__", str(recipe))

    nobodys = replace(bundle.target("host"), compiler=None)
    seen = [bundle.fingerprint(nobodys)]
    cache.write_text("second")
    assert bundle.fingerprint(nobodys) == seen[0]
    for target in (bundle.target("host"), replace(nobodys, name="lambda"), bundle.for_publishers(nobodys)):
        assert bundle.fingerprint(target) not in seen
        seen.append(bundle.fingerprint(target))
    for path in (source, requirements, recipe):
        path.write_text("second")
        assert bundle.fingerprint(nobodys) not in seen
        seen.append(bundle.fingerprint(nobodys))
