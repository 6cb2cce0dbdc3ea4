"""`python -m bench [SECTION…]`: every section, or those named, of what claims about performance stand on.

Counts and ratios, measured side by side in one run and printed beside the goals. Nothing fails: a goal that is missed
is a line at the end.
"""

import argparse
import logging
import time

from bench import bundle, counts, leasing, startup, throughput
from bench.report import Report

SECTIONS = {
    "counts": counts.run,
    "leasing": leasing.run,
    "throughput": throughput.run,
    "startup": startup.run,
    "bundle": bundle.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("section", nargs="*", choices=[[], *SECTIONS], help="default: all of them")
    logging.disable(logging.INFO)  # every request has its line in the log
    began, report = time.monotonic(), Report()
    for name in parser.parse_args().section or SECTIONS:
        SECTIONS[name](report)
    print(f"\nIn {time.monotonic() - began:.0f} s. " + ("Missed:" if report.missed else "No goal is missed."))
    for line in report.missed:
        print(f"  {line}")


if __name__ == "__main__":
    main()
