"""Receivers are told what happened: each message of the queue is a try of one postback."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from msgspec import structs

from shared.postbacks import queue
from shared.publishers import metrics
from shared.runtime import postbacks

log = Logger()


def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    records = event["Records"]
    done = postbacks.sending()([queue.read(record["body"]) for record in records])
    counts = structs.asdict(done)
    failed = counts.pop("failed")
    metrics.write_postbacks(**counts)
    if failed or done.dead or done.paused:
        log.warning("postbacks", extra={"failed": len(failed), "dead": done.dead, "paused": done.paused})
    return {"batchItemFailures": [{"itemIdentifier": records[place]["messageId"]} for place in failed]}
