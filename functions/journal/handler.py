"""What happened becomes pages of the journal: Lambda brings each batch of the streams of pings and of calls, until it
has gone through."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from msgspec import structs

from shared.journal.consumer import consume
from shared.publishers import metrics
from shared.runtime import journal

log = Logger()


def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    pages, endpoint_of, dead_letters, follow = journal.batch_work()
    done = consume(event, pages, endpoint_of, dead_letters.add, follow)
    counts = structs.asdict(done)
    counts.pop("failed")
    metrics.write_batch(**counts)
    if done.failed or done.set_aside:
        log.warning("journal", extra={"failed": len(done.failed), "set_aside": done.set_aside})
    return {"batchItemFailures": [{"itemIdentifier": number} for number in done.failed]}
