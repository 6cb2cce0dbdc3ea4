"""Starts the whole local service, as `make run` does, for tests that speak HTTP to it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.engine import ROOT


@dataclass(frozen=True, slots=True)
class Service:
    url: str
    process: subprocess.Popen[str]

    def stop(self) -> int:
        """Ctrl-C; gives the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(10)


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
