"""Synthesized once, packed once, one emulator; and a fresh stack for every test, which costs less than a second."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import bundle
from tests.deploy import emulated
from tests.deploy.account import Account, Packed, Stack, Template
from tools.engine import ROOT

KEPT = ROOT / "build" / "tests.deploy"
"""The newest bundles: pip runs only after their sources have changed."""
STAGES = ("dev", "prod")


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Template]:
    """One per stage, as `make synth` writes them; without the bundle for Lambda, which cannot run here."""
    made = tmp_path_factory.mktemp("templates")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    running = {
        stage: subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env=os.environ
            | {
                "PATH": path,
                "CDK_OUTDIR": str(made / stage),
                "CDK_CONTEXT_JSON": json.dumps({"stage": stage, "bundle": "host", "aws:cdk:bundling-stacks": []}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for stage in STAGES
    }
    for process in running.values():
        said, _ = process.communicate()
        assert process.returncode == 0, said
    found = {stage: json.loads((made / stage / f"ringpost-{stage}.template.json").read_text()) for stage in STAGES}
    return {stage: without_policies_of_buckets(template) for stage, template in found.items()}


def without_policies_of_buckets(template: Template) -> Template:
    """They refuse who does not come by TLS, which the emulator does not speak."""
    resources = template["Resources"].items()
    kept = {name: each for name, each in resources if each["Type"] != "AWS::S3::BucketPolicy"}
    return template | {"Resources": kept}


@pytest.fixture(scope="session")
def packed() -> Packed:
    """The bundles for this machine, zipped."""
    targets = [*bundle.targets(bundle.target("host")).values()]
    newest = [KEPT / f"{bundle.fingerprint(target)}.zip" for target in targets]
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "lock").open("w") as lock:  # the files of tests run in processes side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        for old in (*KEPT.glob("*.zip"), *KEPT.glob("bundle*")):
            if old not in newest:
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        for target, made in zip(targets, newest, strict=True):
            if not made.exists():
                folder = KEPT / "bundle"
                bundle.build(target, folder)
                shutil.make_archive(str(KEPT / "bundle"), "zip", folder)
                shutil.rmtree(folder)
                (KEPT / "bundle.zip").rename(made)  # now it is whole
    return Packed(*newest)


@pytest.fixture(scope="module")
def account(
    tmp_path_factory: pytest.TempPathFactory, packed: Packed, templates: dict[str, Template]
) -> Iterator[Account]:
    """With IAM enforced: a function may do what its role's policies say, and nothing else."""
    with emulated.running(tmp_path_factory.mktemp("emulator"), {"AUTH": "true"}) as running:
        account = Account(running)
        account.bootstrap(packed, templates["dev"])
        yield account


@pytest.fixture
def stack(account: Account, templates: dict[str, Template]) -> Iterator[Stack]:
    """Stage `dev`, with nothing in it yet."""
    with account.create("ringpost-dev", templates["dev"]) as created:
        yield created
