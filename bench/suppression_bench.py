"""What loading a suppression list takes of the operator's machine, by the length of the file.

`python -m bench.suppression_bench FILE` is the loading itself, in a process of its own: it prints the most memory that
it ever had, in MB.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.report import Report
from shared import configuration
from shared.store.dynamo import Dynamo
from shared.store.records import Records
from tests.build import KEYS, SETTINGS, START
from tests.configurations import a_document
from tools import command, engine
from tools.local.__main__ import function_environment

LIST = "dnc"
ENTRIES = [1_000, 10_000, *map(int, os.environ.get("SUPPRESSED", "").split())]
"""Lengths of files; SUPPRESSED="1000000" adds one."""


def run(report: Report) -> None:
    report.section("suppression", "memory of the command that loads a list, by the length of the file")
    with engine.dynoxide(None) as url, tempfile.TemporaryDirectory() as directory:
        client = engine.client(url)
        engine.create_tables(client, SETTINGS)
        wanted = configuration.read(a_document(account={"suppression": [LIST]}))
        Records(Dynamo(client, SETTINGS), KEYS, lambda: START).applying.apply(wanted, "bench")
        lengths = report.size(ENTRIES, [10, 20])
        megabytes = {entries: _loading(url, a_file(Path(directory), entries)) for entries in lengths}
    report.table(("entries", "peak MB"), [(f"{entries:,}", peak) for entries, peak in megabytes.items()])
    report.goal("memory of the longest file ÷ of the shortest", megabytes[lengths[-1]] / megabytes[lengths[0]], 1.1)


def a_file(directory: Path, entries: int) -> Path:
    file = directory / f"{entries}.csv"
    with open(file, "w", encoding="utf-8") as written:
        written.writelines(f"+1{200 + n // 10_000}555{n % 10_000:04}\n" for n in range(entries))
    return file


def _loading(url: str, file: Path) -> float:
    """The most memory in MB of a command of its own that loads the file."""
    loaded = subprocess.run(
        [sys.executable, "-m", "bench.suppression_bench", file],
        env=function_environment(url, SETTINGS),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(loaded.stdout.split()[-1])


def _peak() -> float:
    """Since this program was started: what is said of a child's resources has its parent's in it."""
    [peak] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(peak.split()[1]) / 1024


if __name__ == "__main__":
    command.app(["suppression", "add", LIST, *sys.argv[1:]], standalone_mode=False)
    print(_peak())
