"""Starts the whole local service, as `make run` does, for tests that speak HTTP to it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tools.engine import ROOT

ENGINES = (b"dynoxide", b"DynamoDBLocal")


@dataclass(frozen=True, slots=True)
class Service:
    url: str
    process: subprocess.Popen[str]

    def stop(self) -> int:
        """Ctrl-C; gives the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(10)


def descendants(pid: int) -> set[int]:
    """Of Linux's processes, those that come from this one."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    found: set[int] = set()
    while more := {child for child, parent in parents.items() if parent in {pid, *found}} - found:
        found |= more
    return found


def arguments_of(pid: int) -> bytes:
    """What a process was started with, each with a zero byte behind it; empty once it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def engine_of(pid: int, port: int | None = None) -> int:
    """The process of the DynamoDB engine that this process has started: of several, the one that listens on `port`."""
    engines = {
        child: arguments
        for child in descendants(pid)
        if any(name in (arguments := arguments_of(child)) for name in ENGINES)
    }
    [found] = [child for child, arguments in engines.items() if port is None or b"%d" % port in arguments.split(b"\0")]
    return found


@contextmanager
def running(data: Path, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of a service with its data in the directory `data`, and `env` over this process's environment."""
    with started(["tools.local", "--port", "0", "--data", str(data)], env) as service:
        yield service.url


@contextmanager
def started(module: list[str], env: Mapping[str, str] | None = None) -> Iterator[Service]:
    """Any module, with its arguments, that prints "ready on URL". Raises `AssertionError` with what it said instead."""
    process = subprocess.Popen(
        [sys.executable, "-m", *module],
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield _when_ready(process)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def _when_ready(process: "subprocess.Popen[str]") -> Service:
    assert process.stdout
    assert process.stderr
    said = ""
    for line in process.stdout:
        said += line
        if found := re.search(r"ready on (\S+)", line):
            return Service(found[1], process)
    raise AssertionError(f"it ended with {process.wait()}: {said}{process.stderr.read()}")
