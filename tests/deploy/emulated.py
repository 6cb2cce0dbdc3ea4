"""AWS as far as a deployment needs it: the emulator, in an environment and a process of its own."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import botocore.session
from botocore.client import BaseClient
from botocore.config import Config

from tools.children import die_with_parent, tail
from tools.engine import ROOT

PYTHON = ROOT / "build" / "emulator" / "bin" / "python"
REGION = "us-east-1"
ACCOUNT = "000000000000"
KEY = "ringpost-deploy-test"
"""As access key and as secret: the emulator's own, with which one is the root of its account."""
START_SECONDS = 30
STOP_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Emulator:
    url: str
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        """With it, AWS's tools and ours take the emulator for AWS, and no profile of this machine plays a part."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": KEY,
            "AWS_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def client(self, service: str) -> Any:
        """Of any service: the stubs that are installed know only some of them."""
        session = botocore.session.Session(
            session_vars={"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
        )
        client: BaseClient = session.create_client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id=KEY,
            aws_secret_access_key=KEY,
            config=Config(proxies={}, s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )
        return client


@contextmanager
def running(directory: Path, settings: Mapping[str, str]) -> Iterator[Emulator]:
    """An emulator that listens on this machine only and keeps what it writes in `directory`.

    Nothing of this process's environment reaches it, or the functions in it, but the search path. Raises
    `AssertionError` with the end of its log.
    """
    if not PYTHON.exists():
        raise AssertionError("The emulator is not installed: `make test` does it, or `make build/emulator.stamp`.")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = directory / "emulator.log"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "STATE_DIR": str(directory / "state"),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": KEY,
        "MINISTACK_REGION": REGION,
        **settings,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PYTHON, ROOT / "tools" / "emulator.py"],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    try:
        _wait_until_it_answers(process, port, log)
        yield Emulator(f"http://127.0.0.1:{port}", log)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):  # whatever is left, and every function that it runs
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_it_answers(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/_ministack/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    raise AssertionError(f"The emulator does not start; the end of its log:\n{tail(log)}")
