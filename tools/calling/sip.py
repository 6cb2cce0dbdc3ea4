"""`python -m tools.calling.sip`: a sale at the local run, and its call as real SIP on the loopback. The first buyer is
busy, the second one answers."""

import argparse
import json
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

from tools import demo
from tools.calling import sipp
from tools.calling.local_run import NoLocalRun, find_local_run
from tools.calling.sipp import NoSipp
from tools.calling.switch import HOST, free_port
from tools.children import die_with_parent
from tools.target import DATA, ROOT

TALK_SECONDS = 3
FULL = "/api/v1/inbound_webhooks/full/my_endpoint"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make call-sip", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="where the local run keeps everything")
    options = parser.parse_args()
    try:
        run = find_local_run(options.data)
        number = sell(run.url)
        print(f"Sold: {demo.CALLER} got the number {number}.", flush=True)
        sys.exit(call(sipp.find_sipp(), options.data, number))
    except (NoLocalRun, NoSipp, NoSale) as fault:
        sys.exit(str(fault))


class NoSale(Exception):
    """There is no number to call. The message is one sentence."""


def sell(url: str) -> str:
    """The number that the demo's caller gets. Raises `NoSale`."""
    try:
        with urllib.request.urlopen(f"{url}{FULL}", demo.LEAD.encode()) as answer:  # noqa: S310  # nosec B310
            said = json.load(answer)
    except urllib.error.HTTPError as refused:
        raise NoSale(f"The service does not sell: {refused.read().decode(errors='replace')}") from None
    except OSError:
        raise NoSale(f"No service answers at {url}. Start it with `make run`.") from None
    if not said["success"]:
        raise NoSale(f"Nobody buys this caller: {said['errors']}")
    return f"+{said['trackdrive_number']}"


def call(binary: str, data: Path, number: str) -> int:
    """The exit code: 0 if the caller talked to the second buyer."""
    with ExitStack() as stack:
        busy, answering = (stack.enter_context(sipp.buyer(binary, scenario)) for scenario in ("busy", "answering"))
        port = free_port()
        command = [sys.executable, "-m", "tools.calling.switch", "--data", str(data.resolve()), "--port", str(port)]
        command += [f"--buyer={demo.BUYERS[0]}={busy}", f"--buyer={demo.BUYERS[1]}={answering}"]
        switch = stack.enter_context(
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        )
        stack.callback(switch.terminate)
        print(next(iter(switch.stdout or ()), ""), end="", flush=True)
        story = Thread(target=_show, args=(switch,), daemon=True)
        story.start()
        done = sipp.call(
            binary, "caller", f"{HOST}:{port}", number=number, caller=demo.CALLER, milliseconds=TALK_SECONDS * 1000
        )
        story.join(1)
        return done.returncode


def _show(switch: "subprocess.Popen[str]") -> None:
    for line in switch.stdout or ():
        print(line, end="", flush=True)


if __name__ == "__main__":
    main()
