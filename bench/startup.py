"""What it takes to start a handler, beyond the bare runtime client of Lambda, and to answer its first request."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from itertools import count
from math import inf
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.report import Cell, Report, say
from shared.functions import FUNCTIONS
from tests.build import CALLER, SETTINGS, Publisher, Stage, a_pool, an_endpoint, an_event
from tools import engine
from tools.local.__main__ import function_environment

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LEANEST = 317
"""Million instructions over the bare runtime client of the leanest handler that speaks to DynamoDB."""
RUNS = 9
CALLS = 40
IMPORTS = 10

EMPTY = "import awslambdaric.__main__; lambda_handler = lambda event, context: {}"
REAL = "import awslambdaric.__main__, {module}; from shared import runtime; runtime.world()"


def run(report: Report) -> None:
    with tempfile.TemporaryDirectory() as made, engine.dynoxide(None) as url:
        environment = {
            **function_environment(url, SETTINGS),
            "PYTHONPYCACHEPREFIX": made,  # as deployed: compiled once, and not by the run that is measured
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": str(engine.ROOT),
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        engine.create_tables(engine.client(url), SETTINGS)
        modules = {name: each.module for name, each in FUNCTIONS.items() if each.bundle != "operators"}
        runs = report.size(RUNS, 1)
        programs = {"empty handler": EMPTY} | {name: REAL.format(module=module) for name, module in modules.items()}
        report.section(
            "startup", "import of the handler and its world, modules compiled, with the read of the list of keys"
        )
        _cost(report, programs, environment, runs)
        report.table(
            ("most expensive imports of post", "ms", "% of all"), _imports(programs["post"], environment, runs)
        )
        requests = {name: module for name, module in modules.items() if name != "call"}
        _first_calls(report, requests, url, environment, Path(made) / "events", runs)


def _cost(report: Report, programs: Mapping[str, str], environment: Mapping[str, str], runs: int) -> None:
    for program in programs.values():
        _cpu_ms(program, environment)  # compiles
    took = [[_cpu_ms(program, environment) for program in programs.values()] for _ in range(runs)]
    cpu = dict(zip(programs, (min(each) for each in zip(*took, strict=True)), strict=True))
    valgrind = "" if report.short else shutil.which("valgrind") or ""  # which takes half a minute for each
    million = {name: _million_instructions(valgrind, program, environment) for name, program in programs.items()}
    bare, empty = cpu["empty handler"], million["empty handler"]
    rows: list[tuple[Cell, ...]] = []
    for name in programs:
        instructions: tuple[Cell, ...] = ("-", "-", "-")
        if empty:
            over = million[name] - empty
            instructions = (million[name], over, over / LEANEST)
        rows.append((name, cpu[name], cpu[name] - bare, cpu[name] / bare, *instructions))
    head = ("", "CPU ms", "over empty", "÷ empty", "million instructions", "over empty", "÷ leanest")
    report.table(head, rows)
    if not empty:
        say("  Without valgrind there are no instructions to count, and no goal to compare.")
    started = million if empty else cpu
    bare_start = empty or bare
    report.goal("start of call ÷ start of post", (started["call"] - bare_start) / (started["post"] - bare_start), 1.1)
    for name in list(programs)[1:] if empty else []:
        report.goal(f"start of {name}: million instructions over empty", million[name] - empty, round(3.3 * LEANEST))


def _cpu_ms(program: str, environment: Mapping[str, str]) -> float:
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", program], environment)
    _, status, usage = os.wait4(child, 0)
    assert status == 0, program
    return 1000 * (usage.ru_utime + usage.ru_stime)


def _million_instructions(valgrind: str, program: str, environment: Mapping[str, str]) -> float:
    """Counted one by one; 0 where there is no valgrind."""
    if not valgrind:
        return 0
    count = [valgrind, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    said = _run([*count, sys.executable, "-c", program], environment).stderr
    found = re.search(r"I +refs: +([\d,]+)", said)
    assert found, said
    return int(found[1].replace(",", "")) / 1e6


def _imports(program: str, environment: Mapping[str, str], runs: int) -> list[tuple[Cell, ...]]:
    """The packages whose own modules take longest, without what the bare runtime client imports anyway."""
    bare, imported = _import_ms(EMPTY, environment, runs), _import_ms(program, environment, runs)
    packages: dict[str, float] = defaultdict(float)
    for module, ms in imported.items():
        if module not in bare:
            packages[module.partition(".")[0]] += ms
    costly = sorted(packages.items(), key=lambda package: -package[1])[:IMPORTS]
    return [(name, ms, round(100 * ms / sum(packages.values()))) for name, ms in costly]


def _import_ms(program: str, environment: Mapping[str, str], runs: int) -> dict[str, float]:
    """By module the time that its import takes by itself, without those inside it: the least of several runs."""
    least: dict[str, float] = {}
    for _ in range(runs):
        said = _run([sys.executable, "-X", "importtime", "-c", program], environment).stderr
        for microseconds, module in re.findall(r"^import time: +(\d+) \| +\d+ \| +(\S+)$", said, re.MULTILINE):
            least[module] = min(int(microseconds) / 1000, least.get(module, 1e9))
    return least


def _first_calls(
    report: Report, modules: Mapping[str, str], url: str, environment: Mapping[str, str], file: Path, runs: int
) -> None:
    client = engine.client(url)
    engine.create_tables(client, SETTINGS)
    primings = {"not primed": environment, "primed": {**environment, "AWS_LAMBDA_FUNCTION_NAME": "bench"}}
    pools = count(1)
    rows: list[tuple[Cell, ...]] = []
    for function, module in modules.items():
        least, warm = dict.fromkeys(primings, inf), inf
        for _ in range(runs):
            for name, primed in primings.items():
                file.write_text(json.dumps(_events(client, function, next(pools), report.size(CALLS, 3))))
                said = _run([sys.executable, "-m", "bench.calls", module, str(file)], primed).stdout
                first, *rest = json.loads(said.splitlines()[-1])
                least[name], warm = min(least[name], first), min(warm, median(rest))
        rows.append((function, *least.values(), warm, *(first / warm for first in least.values())))
    report.table(("ms of the first call", *primings, "warm", *(f"{name} ÷ warm" for name in primings)), rows)
    for row in rows:
        report.goal(f"{row[0]}: first call ÷ warm call", float(row[-1]), 2.5)


def _events(client: "DynamoDBClient", function: str, no: int, calls: int) -> list[dict[str, Any]]:
    """Requests to a function, each at its address, for an endpoint with a fresh pool of a hundred numbers."""
    stage = Stage(client)
    stage.publish(an_endpoint(version=no, ping_ttl_seconds=3600, pool=a_pool(100, no=no, hold_seconds=3600)))
    stage.clock.now = int(time.time())
    publisher = Publisher(stage)
    if function == "instructions":
        return [an_event(method="GET", path="/posting_instructions/my_endpoint")] * calls
    sent = [{"caller_id": CALLER, "nonce": str(n)} for n in range(calls)]
    path = "/sandbox/api/v1/inbound_webhooks/full/my_endpoint" if function == "sandbox" else None
    if function == "post":
        sent = [{"ping_id": publisher.ping(**params).body["buyers"][0]["ping_id"]} | params for params in sent]
    return [an_event(function, path=path, json_body=params | {"nonce": secrets.token_hex(4)}) for params in sent]


def _run(command: list[str], environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, env=environment, cwd=engine.ROOT, capture_output=True, text=True, check=True)
