"""What is due every hour: caps that a crash left too high are lowered, what it has reserved of them is given, and
numbers that an apply which died has left are freed."""

from msgspec import Struct

from shared.operators.leftovers import Leftovers
from shared.operators.repair import Outcome, Repair
from shared.store.records import Records


class Done(Struct, frozen=True):
    """What became of caps, how many numbers were freed, and how many reservations were given."""

    caps: Outcome
    freed: int
    given: int = 0


def do_hourly_work(repair: Repair, records: Records) -> Done:
    freed = records.applying.free_what_was_given_up()
    endpoints = repair.endpoints()
    given = Leftovers(repair.dynamo, repair.now).give(endpoints)
    return Done(repair.repair(endpoints), freed, given)
