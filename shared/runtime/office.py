"""What operators work on, made once per process and request."""

import time
from functools import cache
from typing import TYPE_CHECKING

from shared import runtime, settings
from shared.runtime import journal
from shared.store.callers import Callers
from shared.store.dynamo import Dynamo

if TYPE_CHECKING:
    from shared.office.cognito import Cognito
    from shared.office.visitors import VisitedOffice
    from shared.operators.access import Office
    from shared.store.versions import Known

OFFICE_SECONDS = 25
"""Applying a configuration takes seconds; the function has 29."""


def open_office() -> "Office":
    """What operators work on, for one request. What it imports is slow to start, and no other function needs it. Raises
    `MissingSetting` without a journal table."""
    from shared.flows.resolving import leads_until
    from shared.operators.access import Office
    from shared.runtime import calls
    from shared.store.journal import Journal
    from shared.store.records import Records

    deadline = time.monotonic() + OFFICE_SECONDS
    journal.open_store_with_journal()
    process, ring, memory, *_rest, io_pool = runtime.open_process()
    dynamo = Dynamo(process.client, process.settings, deadline)
    ring.lists = True
    signing_keys = runtime.find_keys(ring, dynamo)
    return Office(
        Records(dynamo, signing_keys, runtime.read_clock, _known()),
        Callers(dynamo, signing_keys, memory.noted),
        Journal(dynamo, signing_keys, io_pool),
        lambda: journal.fetch_files(dynamo),
        lambda number, caller, ping_id: leads_until(calls.telephony(OFFICE_SECONDS), number, caller, ping_id),
    )


@cache
def _known() -> "Known":
    return {}


def open_visited_office() -> "VisitedOffice":
    """The office of visitors who sign in. Raises `MissingSetting` without a secret for their sessions."""
    from shared.office.visitors import VisitedOffice

    process, *_ = runtime.open_process()
    if not (process.settings.session_secret_arn or process.settings.session_secret_file):
        raise settings.MissingSetting("the environment variable RINGPOST_SESSION_SECRET_ARN is not set")
    found = open_office()
    return VisitedOffice(found.records, found.callers, found.journal, found.open_files, found.leads_until, _cognito())


@cache
def _cognito() -> "Cognito | None":
    from shared.office.cognito import Cognito

    process, *_ = runtime.open_process()
    wanted = process.settings
    if not wanted.cognito_url:
        return None
    secret = (
        runtime.read_secret(wanted.cognito_secret_arn).decode() if wanted.cognito_secret_arn else wanted.cognito_secret
    )
    return Cognito(wanted.cognito_url, wanted.cognito_issuer, wanted.cognito_client_id, secret)
