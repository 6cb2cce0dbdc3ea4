"""What the bundles of the functions weigh, and what their compiled caches save at the start of one."""

import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.report import Report, say
from infra import bundle
from tests.build import SETTINGS
from tools import engine

RUNS = 7
START = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "import functions.post.handler; from shared import runtime; runtime.world()"
)


def run(report: Report) -> None:
    target = bundle.target()
    report.section("bundle", f"built for Lambda; caches compiled by {'Python 3.13' if target.compiler else 'nobody'}")
    with tempfile.TemporaryDirectory() as place:
        plain = Path(place) / "plain"
        _install(plain, target.wheels)
        sizes = [] if report.short else [("operators'", _built(target, Path(place) / "whole"), _mb(plain))]
        bundle.trim(plain, bundle.OPERATORS_ONLY)
        sizes.append(("publishers'", _built(bundle.for_publishers(target), Path(place) / "lean"), _mb(plain)))
        with_signatures = bundle.targets(target)["telephony"]
        telephony = 0.0 if report.short else _built(with_signatures, Path(place) / "telephony")
        report.table(("bundle", "MB", "pip install --target of the same dependencies"), sizes)
        for name, made, installed in sizes:
            report.goal(f"{name} bundle ÷ pip install", made / installed, 0.3)
        if telephony:
            say(f"  That of telephony has {telephony:.1f} MB.")
        if target.compiler:
            host = replace(target, wheels=bundle.wheels(platform.machine()))
            _starts(report, host, target.compiler, Path(place), report.size(RUNS, 1))
        else:
            say(f"  {bundle.NO_CACHES}")


def _install(folder: Path, wheels: Sequence[str]) -> None:
    """As anyone would, with the caches that pip makes."""
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--only-binary=:all:"]
    _run([*pip, *wheels, f"--requirement={bundle.ROOT / bundle.REQUIREMENTS}", f"--target={folder}"])


def _built(target: bundle.Target, folder: Path) -> float:
    bundle.build(target, folder)
    return _mb(folder)


def _mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _starts(report: Report, target: bundle.Target, python: str, place: Path, runs: int) -> None:
    """On this machine's CPU, under the Python that Lambda has: import of POST and its client, no network."""
    folders = {"with caches": place / "with", "without": place / "without"}
    bundle.build(bundle.for_publishers(target), folders["with caches"])
    bundle.build(bundle.for_publishers(replace(target, compiler=None)), folders["without"])
    milliseconds = {name: min(_cpu_ms(python, folder) for _ in range(runs)) for name, folder in folders.items()}
    bare = min(_cpu_ms(python, None) for _ in range(runs))
    report.table(
        ("start of post", "CPU ms over a bare Python"), [(name, found - bare) for name, found in milliseconds.items()]
    )
    said = _run([python, "-I", "-S", "-B", "-v", "-c", START, str(folders["with caches"])]).stderr
    loaded = re.findall(
        rf"^# code object from '?{re.escape(str(folders['with caches']))}\S+\.(pyc?)\b", said, re.MULTILINE
    )
    assert loaded, "python -v names what it loads"
    report.goal(f"of {len(loaded)} modules at the start, compiled from source", loaded.count("py"), 0)


def _cpu_ms(python: str, folder: Path | None) -> float:
    program = [START, str(folder)] if folder else [""]
    child = os.posix_spawn(python, [python, "-I", "-S", "-B", "-c", *program], _environment())
    _, status, usage = os.wait4(child, 0)
    assert status == 0
    return 1000 * (usage.ru_utime + usage.ru_stime)


def _environment() -> dict[str, str]:
    keys = {"AWS_ACCESS_KEY_ID": engine.KEY, "AWS_SECRET_ACCESS_KEY": engine.KEY, "AWS_DEFAULT_REGION": engine.REGION}
    return {**SETTINGS.environment(), **keys, "PATH": os.environ["PATH"], "HOME": str(engine.ROOT / "build")}


def _run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, env={**os.environ, **_environment()}, capture_output=True, text=True, check=True)
