"""Every hour: caps that a crash left too high are lowered, the leads of sales whose retention is over are removed, and
numbers that an apply which died has left are freed."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared import runtime
from shared.store.repair import upkeep

log = Logger()


def lambda_handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    found = upkeep(*runtime.upkeep())
    done = {"repaired": len(found.repaired), "swept": found.swept, "freed": found.freed}
    log.info("hourly", extra=done)
    return done
