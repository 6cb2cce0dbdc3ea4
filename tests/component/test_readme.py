"""Every command of the README and the how-to pages, word by word, on what `make run` starts; and those that it prints
itself."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.local_service import started
from tools.engine import ROOT

ADDRESS = "http://127.0.0.1:8000"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "how-to").glob("*.md"))]
SAID = re.compile(r'"(status|buyer_name|rule|name)":"([^"…]+)"')
SHELL = r"""
./ringpost() {
  for _ in $(seq 60); do  # what was sent a moment ago is not in the journal yet
    answer=$("$PYTHON" -m tools.command --data "$DATA" "$@") || { echo "$answer"; return 1; }
    [[ "$*" == erase*--dry-run* && $answer == *"of 0 pings"* ]] || break
    sleep 0.5
  done
  echo "$answer"
}
curl() {
  for _ in 1 2 3; do  # on a busy machine there may be no time for the first ask of a live buyer
    answer=$(command curl -sS --fail-with-body "${@//http:\/\/127.0.0.1:8000/$URL}") || { echo "$answer"; return 1; }
    [[ "$*" == */full/live_endpoint* && $answer == *no_matching_buyer* ]] || break
  done
  echo "$answer"
  sold=$(grep -o '"trackdrive_number":"[0-9]*' <<< "$answer" | grep -o '[0-9]*$' | head -1) && NUMBER=$sold
  return 0
}
make() {  # the number that is documented stands for the one that was sold last
  local words=${2#ARGS=}
  "$PYTHON" -m tools.calling --data "$DATA" ${words/+18005550100/+$NUMBER} | sed "s/$NUMBER/18005550100/"
}
set -o pipefail
"""


@dataclass
class Command:
    text: str
    documented: str
    code: int = -1
    output: str = ""


def commands(page: str) -> Iterator[Command]:
    """Those of its blocks without a language: lines after a $, or every line of a block that has none. Blocks of `sh`
    start the service itself, or are about a deployed stage."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        if language:
            continue
        if "\n$ " not in f"\n{block}":
            yield from (Command(line, "") for line in block.splitlines())
            continue
        for each in f"\n{block}".split("\n$ ")[1:]:
            text, _, documented = each.partition("\n")
            yield Command(text, documented)


def run(found: list[Command], url: str, data: Path, folder: Path) -> None:
    """In one shell, from the top to the bottom; what asks is answered with yes."""
    folder.mkdir()
    for name in ("examples", "tools", "shared"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".ringpost").symlink_to(data)
    marked = "".join(f'{{ {one.text}\n}} <<< y\ncode=$?; echo; echo "=== $code"\n' for one in found)
    assigned = re.sub(r"^\{ (\w+=.*)\n\} <<< y", r"\1", marked, flags=re.MULTILINE)
    env = {**os.environ, "URL": url, "DATA": str(data), "PYTHON": sys.executable}
    done = subprocess.run(
        ["bash", "-c", SHELL + assigned], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    outputs = re.split(r"=== (\d+)\n", done.stdout)
    for one, output, code in zip(found, outputs[::2], outputs[1::2], strict=False):
        one.output, one.code = output, int(code)
    assert [one.text for one in found if one.code != 0] == [], done.stdout + done.stderr


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> list[Command]:
    data = tmp_path_factory.mktemp("readme")
    found = [one for page in PAGES for one in commands(page.read_text())]
    apply = Command("./ringpost apply examples/marketplace.yaml", "")
    lead = "caller_id=6145550123&state=TX&zip=30340&age=41"
    sold = Command(f"curl {ADDRESS}/api/v1/inbound_webhooks/full/auto -d '{lead}' -d auth_token=$TOKEN", "")
    with started(["tools.local", "--port", "0", "--data", str(data)]) as service:
        assert service.process.stdout
        printed = []
        for line in service.process.stdout:
            printed += [Command(line.strip(), "")] if line.startswith(("curl ", "make ")) else []
            if "Ctrl-C" in line:
                break
        assert len(printed) == 6
        run([*found, *printed, apply, Command("sleep 10", ""), sold], service.url, data, data / "shell")
    return [*found, *printed, sold]


def test_the_commands_are_found(ran: list[Command]) -> None:
    texts = [one.text for one in ran]
    assert sum("curl" in text for text in texts) > 10
    for verb in (
        "check", "diff", "apply", "tokens", "route", "suppression", "replay", "schedules", "caps", "leases", "secrets",
        "sign-in", "unsettled", "erase", "erasures", "repair", "report",
    ):  # fmt: skip
        assert any(text.startswith(f"./ringpost {verb}") for text in texts), verb


def test_every_command_does_what_stands_below_it(ran: list[Command]) -> None:
    for one in ran:
        for name, value in SAID.findall(one.documented):
            assert f'"{name}":"{value}"' in one.output, (one.text, one.output)
        if one.text.startswith(("./ringpost ", "make ")):
            parts = [part for line in one.documented.splitlines() for part in line.split("…")]
            assert [part for part in parts if part not in one.output] == [], one
        if one.text.startswith("curl ") and not one.documented:
            assert json.loads(one.output)["success"], one


def test_the_example_marketplace_takes_the_place_of_the_demo_as_it_stands(ran: list[Command]) -> None:
    assert json.loads(ran[-1].output)["trackdrive_number"].startswith("1877555")
