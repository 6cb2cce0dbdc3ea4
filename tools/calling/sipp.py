"""Real SIP telephones on the loopback: sipp, with scenarios of our own. (The Contact of its built-in ones has
`transport=UDP` in capitals, which sippy 2.5.0 does not survive.)"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.calling.switch import HOST, free_port
from tools.children import die_with_parent

SCENARIOS = Path(__file__).with_name("scenarios")
PACKAGE = "sip-tester"
START_SECONDS = 10
HOW_TO_GET_IT = f"There is no sipp on this machine. Install it: `apt-get install {PACKAGE}` (Debian, Ubuntu)."


class NoSipp(Exception):
    """There is no sipp, and it cannot be installed from here; the message says how to get it."""


def find_sipp() -> str:
    """Where it is. Where there is none, root has the system's installed. Raises `NoSipp`."""
    found = shutil.which("sipp")
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        for command in (["update", "-qq"], ["install", "-y", "-qq", PACKAGE]):
            if subprocess.run(["apt-get", *command], stdout=subprocess.DEVNULL, check=False).returncode:
                raise NoSipp(HOW_TO_GET_IT)
        found = shutil.which("sipp")
    if found is None:
        raise NoSipp(HOW_TO_GET_IT)
    return found


@contextmanager
def buyer(sipp: str, scenario: str) -> Iterator[int]:
    """The port of a buyer's telephone that takes any number of calls."""
    port = free_port()
    process = subprocess.Popen(
        [*_command(sipp, scenario, port), HOST],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )
    try:
        _wait_until_taken(port, process)
        yield port
    finally:
        process.kill()
        process.wait()


def call(
    sipp: str, scenario: str, switch: str, *, number: str, caller: str, milliseconds: int, calls: int = 1, rate: int = 1
) -> subprocess.CompletedProcess[str]:
    """Make so many calls, `rate` a second. The exit code is 0 if each went as the scenario says. `milliseconds` are
    those of its pause."""
    command = [*_command(sipp, scenario, free_port()), switch, "-s", number, "-key", "caller", caller]
    command += ["-d", str(milliseconds), "-m", str(calls), "-r", str(rate), "-timeout", "60", "-timeout_error"]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def _command(sipp: str, scenario: str, port: int) -> list[str]:
    return [sipp, "-sf", str(SCENARIOS / f"{scenario}.xml"), "-i", HOST, "-p", str(port), "-nostdin"]


def _wait_until_taken(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Until the telephone listens: an INVITE that comes sooner would be sent again after half a second."""
    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at and process.poll() is None:
        taken = Path("/proc/net/udp").read_text() if Path("/proc/net/udp").exists() else f":{port:04X} "
        if f":{port:04X} " in taken:
            return
        time.sleep(0.05)
    raise NoSipp(f"sipp did not start on port {port}.")
