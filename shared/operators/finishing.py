"""Brings erasings to their end: the last leads, then pages and files, then the old files."""

from functools import partial

from msgspec.structs import replace

from shared.domain.models import DAY
from shared.journal.files import do_each
from shared.journal.forgetting import Forgetting
from shared.journal.passing import Passing
from shared.operators.erasing import SETTLED_SECONDS, Erasing
from shared.store.erasures import Erased, Erasures, Unfinished

UNFINISHED_DAYS = 30
"""For how long an unfinished erasure is tried: as long as the bucket keeps what was set aside."""


class Finishing:
    """Brings what is begun to its end."""

    def __init__(self, erasing: Erasing, passing: Passing, forgetting: Forgetting) -> None:
        self.erasing = erasing
        self.erasures = erasing.erasures
        self.passing = passing
        self.forgetting = forgetting
        self.now = erasing.now

    def go_on_with_all(self) -> int:
        """Do what can be done now of all that is not finished; how many erasings that finished. Raises an
        `ExceptionGroup` of what failed, when all else is done."""
        return do_each([partial(self._finishes, each) for each in list_unfinished(self.erasures, self.now())])

    def _finishes(self, unfinished: Unfinished) -> bool:
        return self.go_on(unfinished).erased.finished_at > 0

    def go_on(self, unfinished: Unfinished) -> Unfinished:
        """Do what can be done now. Raises `FileUnreadable`, an `ExceptionGroup` of such, and
        `TemporarilyUnavailable`."""
        if not unfinished.rewritten_at:
            if not self._has_passed(unfinished):
                return self.erasures.read(unfinished)
            others = self.forgetting.pings_set_aside(unfinished.forgotten)
            other_calls = self.forgetting.calls_set_aside(unfinished.forgotten)
            self.erasures.wait_no_more(unfinished)  # a run that dies with pings erased has waited for no row of theirs
            again, ids, call_ids = self.erasing.erase_again(unfinished, others, other_calls)
            if _has_erased(unfinished.erased, again.erased) or again.erased.being_sold or again.erased.running:
                return replace(again, probes="")
            self.erasures.wait_for(unfinished, unfinished.probes)
            self.erasures.note_found(unfinished, self.now())
            forgotten = replace(
                unfinished.forgotten,
                pings=[ping_id.hex() for ping_id in ids],
                calls=[call_id.hex() for call_id in call_ids],
            )
            if not self.forgetting.forget(forgotten):
                return again
            self.erasures.note_rewritten(unfinished, self.now())
        unfinished = self.erasures.read(unfinished)
        if self.forgetting.delete_old_files(unfinished.rewritten_at):
            self.erasures.note_finished(unfinished, self.now())
        return self.erasures.read(unfinished)

    def _has_passed(self, unfinished: Unfinished) -> bool:
        """Whether rows are there of everything that requests did which were under way when it began."""
        if self.now() < unfinished.erased.at + SETTLED_SECONDS:
            return False
        if unfinished.probes and not self.passing.is_over(unfinished.probes):
            return self.passing.has_passed(unfinished.probes)
        self.erasures.wait_for(unfinished, self.passing.start())
        return False


def _has_erased(before: Erased, after: Erased) -> bool:
    """Whether something was left to erase."""
    return after.pings > before.pings or after.calls > before.calls


def list_unfinished(erasures: Erasures, now: int) -> list[Unfinished]:
    return erasures.unfinished(now - UNFINISHED_DAYS * DAY)
