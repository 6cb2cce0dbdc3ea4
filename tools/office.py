"""What the use cases of operators work on, for a command."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from shared.domain.readers import Reader
from shared.flows.resolving import leads_until
from shared.operators.access import Office
from shared.store.callers import Callers
from shared.store.journal import Journal
from shared.store.records import Records
from tools.stack_access import open_journal, telephony

EVERYTHING = Reader("command", None)


@contextmanager
def open_office(records: Records) -> Iterator[Office]:
    """The files of the journal that it fetches go with it."""
    dynamo, keys = records.dynamo, records.keys
    with open_journal(records) as files:
        journal = Journal(dynamo, keys, files.pool)
        yield Office(records, Callers(dynamo, keys), journal, lambda: files, partial(_leads_until, records))


def _leads_until(records: Records, number: str, caller: str, ping_id: bytes) -> int:
    with telephony(records) as made:
        return leads_until(made, number, caller, ping_id)
