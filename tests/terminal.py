"""The operator's command at a terminal of its own: what a person types, and sees."""

import io
import os
import pty
import re
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from threading import Thread
from typing import NamedTuple

from tools import command

COLORS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Said(NamedTuple):
    """What stdout got, and what was `seen` on the terminal beside it."""

    exit_code: int
    stdout: str
    seen: str


@contextmanager
def _terminal(typed: str) -> Iterator[tuple[int, bytearray]]:
    """Its own end, and what the program at it writes. It does not show what is typed."""
    person, program = pty.openpty()
    shown = termios.tcgetattr(program)
    shown[3] &= ~termios.ECHO
    termios.tcsetattr(program, termios.TCSANOW, shown)
    written = bytearray()

    def look() -> None:
        try:
            while some := os.read(person, 4096):
                written.extend(some)
        except OSError:  # the program has closed its end
            pass

    thread = Thread(target=look, daemon=True)
    thread.start()
    os.write(person, typed.encode())
    try:
        yield program, written
    finally:
        os.close(program)
        thread.join()
        os.close(person)


def run(*arguments: str, typed: str) -> Said:
    """`typed` are the lines that a person types, before anybody asks."""
    stdin, stdout = sys.stdin, io.StringIO()
    exit_code = 0
    with (
        _terminal(typed) as (program, written),
        open(program, encoding="utf-8", closefd=False) as keyboard,
        open(program, "w", encoding="utf-8", closefd=False) as screen,
        redirect_stdout(stdout),
        redirect_stderr(screen),
    ):
        sys.stdin = keyboard
        try:
            command.app([*arguments])
        except SystemExit as ended:
            exit_code = int(ended.code or 0)
        finally:
            sys.stdin = stdin
    return Said(exit_code, stdout.getvalue(), COLORS.sub("", written.decode()).replace("\r\n", "\n"))
