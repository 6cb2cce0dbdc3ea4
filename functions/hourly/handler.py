"""Every hour: caps that a crash left too high are lowered, what it has reserved is given, and numbers that an apply
which died has left are freed."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.operators.hourly_work import do_hourly_work
from shared.runtime import journal

log = Logger()


def lambda_handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, object]:
    done = do_hourly_work(*journal.hourly_work())
    caps = done.caps
    found = {
        "repaired": len(caps.repaired), "left": caps.left, "why": caps.why, "freed": done.freed, "given": done.given,
    }  # fmt: skip
    log.info("hourly", extra=found)
    return found
