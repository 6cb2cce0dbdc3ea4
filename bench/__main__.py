"""`python -m bench [SECTION…]`: every section, or those named, of what claims about performance stand on.

Counts and ratios, measured side by side in one run and printed beside the goals. Nothing fails: a goal that is missed
is a line at the end.
"""

import argparse
import logging
import os
import time
from contextlib import redirect_stdout

from bench import (
    applies_bench,
    bundle_bench,
    call_counts,
    calls_bench,
    counts,
    journal_bench,
    leasing_bench,
    live_bench,
    matching_bench,
    report_bench,
    startup,
    suppression_bench,
    throughput,
)
from bench.report import Report, say

SECTIONS = {
    "counts": counts.run,
    "call-counts": call_counts.run,
    "leasing": leasing_bench.run,
    "applies": applies_bench.run,
    "matching": matching_bench.run,
    "live": live_bench.run,
    "suppression": suppression_bench.run,
    "throughput": throughput.run,
    "calls": calls_bench.run,
    "report": report_bench.run,
    "journal": journal_bench.run,
    "startup": startup.run,
    "bundle": bundle_bench.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a little of each, to see that it runs")
    parser.add_argument("section", nargs="*", choices=[[], *SECTIONS], help="default: all of them")
    logging.disable(logging.INFO)  # every request has its line in the log
    options = parser.parse_args()
    began, report = time.monotonic(), Report(options.short)
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # and every request its metrics on the output
        for name in options.section or SECTIONS:
            SECTIONS[name](report)
    say(f"\nIn {time.monotonic() - began:.0f} s. " + ("Missed:" if report.missed else "No goal is missed."))
    for line in report.missed:
        say(f"  {line}")


if __name__ == "__main__":
    main()
