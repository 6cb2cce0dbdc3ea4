"""Start the local run, and call make for what needs the CDK."""

import os
import sys
from typing import Annotated

import typer

from tools.target import ROOT, Target, fail

Region = Annotated[str, typer.Option(help="The region, if it is not your AWS profile's.")]
Account = Annotated[str, typer.Option(help="The account, if it is not your AWS profile's.")]


def run(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(help="Processes per verb.")] = 2,
) -> None:
    """Start the whole service on this machine, with demo data. Ctrl-C stops it."""
    data = context.obj.data.resolve()
    _become(sys.executable, "-m", "tools.local", "--port", str(port), "--workers", str(workers), "--data", str(data))


def bootstrap(context: typer.Context, region: Region = "", account: Account = "") -> None:
    """Make an account and region ready for the CDK, once."""
    _make("bootstrap", context, region, account)


def deploy(context: typer.Context, region: Region = "", account: Account = "") -> None:
    """Deploy a stage to AWS: ringpost --stage dev deploy. It says first what it will do, and prints the URL."""
    _make("deploy", context, region, account)


def destroy(context: typer.Context, region: Region = "", account: Account = "") -> None:
    """Remove a stage and all that it may delete. You type the name of the stage to confirm it."""
    stage = _stage(context)
    if typer.prompt(f"Type {stage} to remove this stage", default="", show_default=False) != stage:
        fail("Nothing was removed.")
    _make("destroy", context, region, account)


def _make(target: str, context: typer.Context, region: str, account: str) -> None:
    from infra.region import NO_REGION, region_of_user  # slow to import

    places = {"STAGE": _stage(context), "REGION": region, "ACCOUNT": account}
    if not (region or region_of_user()):
        fail(NO_REGION)  # before make installs what a deployment needs
    _become("make", "--silent", target, *(f"{name}={value}" for name, value in places.items() if value))


def _stage(context: typer.Context) -> str:
    target: Target = context.obj
    return target.stage or fail(f"Name the stage: ringpost --stage dev {context.info_name}")


def _become(*command: str) -> None:
    """Run this in the place of the command, at the root of the repository."""
    os.chdir(ROOT)
    os.execvp(command[0], command)  # noqa: S606  # nosec B606 (without a shell, on purpose)
