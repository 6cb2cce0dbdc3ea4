"""Every section of the benchmark runs to its end, but for that of the bundles, which the test of a deployment builds.
These tests do not judge what a section measures."""

import subprocess
import sys

import pytest

from bench.__main__ import SECTIONS
from tools.engine import ROOT


@pytest.mark.parametrize("section", sorted(SECTIONS.keys() - {"bundle"}))
def test_a_section_runs_to_its_end_and_says_what_is_missed(section: str) -> None:
    command = [sys.executable, "-m", "bench", "--short", section]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert f"{section.upper()}  " in ended.stdout
    assert ended.stdout.count("Missed:") + ended.stdout.count("No goal is missed.") == 1
