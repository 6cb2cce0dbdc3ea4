"""What the use cases of operators work on, for a command."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.domain.readers import Reader
from shared.operators.access import Office
from shared.store.callers import Callers
from shared.store.journal import Journal
from shared.store.records import Records
from tools.stack_access import open_journal

EVERYTHING = Reader("command", None)


@contextmanager
def open_office(records: Records) -> Iterator[Office]:
    """The files of the journal that it fetches go with it."""
    dynamo, keys = records.dynamo, records.keys
    with open_journal(records) as files:
        yield Office(records, Callers(dynamo, keys), Journal(dynamo, keys, files.pool), lambda: files)
