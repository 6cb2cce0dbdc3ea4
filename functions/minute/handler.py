"""Every minute: what is due of calls is done, hours and days of the journal that are over become files, those that do
not count are deleted, and callers that are being erased are taken out of it."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.configuration import retention_of
from shared.journal.files import do_each
from shared.runtime import journal

log = Logger()


def lambda_handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    files, versions = journal.journal_files()
    now = int(time.time())
    steps: dict[str, Callable[[], int]] = {
        "due": _do_due,
        "hours_closed": lambda: files.close_hours(now),
        "days_closed": lambda: files.close_days(now),
        "deleted": lambda: files.delete_replaced(now),
        "erased": journal.finish_erasings,
        "strays": lambda: files.sweep_if_due(now, lambda: retention_of(versions.current().parts).sale_days),
    }
    done = {"due": 0, "hours_closed": 0, "days_closed": 0, "deleted": 0, "erased": 0, "strays": 0}

    def count(name: str, step: Callable[[], int]) -> int:
        done[name] = step()
        return done[name]

    try:
        do_each([partial(count, name, step) for name, step in steps.items()])
    finally:
        log.info("minute", extra=done)
    return done


def _do_due() -> int:
    """How many calls and sales there were to look at."""
    done = journal.calls_due().do_all()
    if done.failures:
        log.warning("due", extra={"failures": [msgspec.to_builtins(each) for each in done.failures]})
    return done.looked_at
