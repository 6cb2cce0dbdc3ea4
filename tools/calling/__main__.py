"""`python -m tools.calling NUMBER from CALLER …`: a call to the local run, and what happens in it."""

import argparse
import sys
from pathlib import Path

from tools.calling import simulated
from tools.calling.local_run import NoLocalRun, find_local_run
from tools.calling.provider import Call, Outcome
from tools.calling.simulated import NotUnderstood, Plan, Simulated
from tools.calling.twiml import NotTwiml
from tools.calling.webhooks import NotRunning, Webhooks
from tools.target import DATA


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make call",
        usage='make call ARGS="NUMBER from CALLER …"',
        description=simulated.USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=DATA, help="where the local run keeps everything")
    parser.add_argument("--provider", default="local", help="its name in the configuration (default: %(default)s)")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="NUMBER from CALLER …")
    options = parser.parse_args()
    try:
        plan = simulated.read_plan(options.words)
    except NotUnderstood as fault:
        parser.error(f"{fault}\n\n{simulated.USAGE}")
    try:
        run = find_local_run(options.data)
        with Webhooks(run.url, run.key, options.provider) as webhooks:
            call(webhooks, plan)
    except (NoLocalRun, NotRunning, NotTwiml) as fault:
        sys.exit(str(fault))


def call(webhooks: Webhooks, plan: Plan) -> Outcome:
    """Raises `NotRunning` and `NotTwiml`."""
    return Call(webhooks, Simulated(plan), number=plan.number, caller=plan.caller, tell=print).run()


if __name__ == "__main__":
    main()
