"""What postbacks are put on their queue, sent and tried again with, made once per process and batch."""

import time
from functools import cache
from typing import TYPE_CHECKING

from shared import runtime, settings
from shared.runtime import journal
from shared.store.dynamo import Dynamo

if TYPE_CHECKING:
    from shared.journal.consumer import EndpointOf
    from shared.postbacks.announcing import Announcing
    from shared.postbacks.queue import Queue
    from shared.postbacks.sending import Sending
    from shared.postbacks.waiting import Waiting
    from shared.store.receivers import Memory

POSTBACK_SECONDS = 28
"""For a few postbacks; the function has 30."""


def has_queue() -> bool:
    process, _ = runtime.open_store()
    return bool(process.settings.postbacks_queue)


@cache
def open_queue() -> "Queue":
    """Raises `MissingSetting` without one."""
    from shared.postbacks.queue import Sqs

    process, _ = runtime.open_store()
    if not process.settings.postbacks_queue:
        raise settings.MissingSetting("the environment variable RINGPOST_POSTBACKS_QUEUE is not set")
    return Sqs(runtime.open_session().create_client("sqs", config=runtime.SDK), process.settings.postbacks_queue)


def announcing(dynamo: Dynamo, endpoint_of: "EndpointOf") -> "Announcing":
    """What puts postbacks on the queue. Raises `MissingSetting` without one."""
    from shared.postbacks.announcing import Announcing
    from shared.store.receivers import Receivers

    _, ring, *_rest = runtime.open_process()
    return Announcing(
        Receivers(dynamo, _known_receivers()),
        open_queue(),
        lambda: runtime.find_keys(ring, dynamo),
        endpoint_of,
        runtime.read_clock,
    )


def sending() -> "Sending":
    """What the function that sends postbacks works with, for a few messages. Raises `MissingSetting` without a journal
    table or a queue."""
    from shared.journal.timetable import Timetable
    from shared.postbacks.sending import Sending
    from shared.store.receivers import Receivers

    journal.open_store_with_journal()
    process, ring, *_rest, io_pool = runtime.open_process()
    dynamo = Dynamo(process.client, process.settings, time.monotonic() + POSTBACK_SECONDS)
    return Sending(
        dynamo,
        Receivers(dynamo, _known_receivers()),
        open_queue(),
        Timetable(dynamo, runtime.read_clock, journal.begun_tables()),
        runtime.open_asking,
        runtime.find_keys(ring, dynamo),
        lambda name: runtime.buyer_secrets()(name),
        io_pool,
        runtime.read_clock,
    )


def waiting() -> "Waiting":
    """What the minute function does of postbacks. Raises `MissingSetting` without a journal table or a queue."""
    from shared.postbacks.waiting import Waiting
    from shared.store.postbacks import Postbacks
    from shared.store.receivers import Receivers

    process, io_pool = journal.open_store_with_journal()
    dynamo = Dynamo(process.client, process.settings)
    return Waiting(Postbacks(dynamo), Receivers(dynamo, _known_receivers()), open_queue(), io_pool, runtime.read_clock)


@cache
def _known_receivers() -> "Memory":
    from shared.store.receivers import Memory

    return Memory()
