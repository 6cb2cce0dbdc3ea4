"""What is due every hour: caps that a crash left too high are lowered, and numbers that an apply which died has left
are freed."""

from msgspec import Struct

from shared.operators.repair import Outcome, Repair
from shared.store.records import Records


class Done(Struct, frozen=True):
    """What became of caps, and how many numbers were freed."""

    caps: Outcome
    freed: int


def do_hourly_work(repair: Repair, records: Records) -> Done:
    freed = records.applying.free_what_was_given_up()
    return Done(repair.repair(repair.endpoints()), freed)
