"""What the minute function does of postbacks: puts those on the queue that are due, tries receivers that failed, and
takes up what waited for those that are well again."""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor

from shared.postbacks import schedule
from shared.postbacks.queue import Message, Queue
from shared.postbacks.signing import written_id
from shared.store.postbacks import Postbacks, ReceiverState
from shared.store.receivers import Receivers

AT_ONCE = 500
"""How many of a receiver are looked at together."""
ROUNDS = 20
"""How often in a minute at most: what is left waits a minute longer."""


class Waiting:
    """`pool` looks at several receivers at once. Methods raise `TemporarilyUnavailable`: the next minute goes on. All
    may be repeated: what is put on the queue twice is tried once."""

    def __init__(
        self, postbacks: Postbacks, receivers: Receivers, queue: Queue, pool: Executor, now: Callable[[], int]
    ) -> None:
        self.postbacks = postbacks
        self.receivers = receivers
        self.queue = queue
        self.pool = pool
        self.now = now

    def send_due(self, ids: Collection[bytes]) -> None:
        """Those that the timetable names."""
        self._send([written_id(each) for each in ids])

    def go_on(self) -> int:
        """Look at what waits for each receiver: how much was put on the queue."""
        names = [*self.receivers.all(self.now())]
        states = self.postbacks.states_of(names) if names else {}
        return sum(self.pool.map(self._go_on_with, [states[name] for name in names]))

    def _go_on_with(self, state: ReceiverState) -> int:
        """All goes to a receiver that is well. One that fails gets the oldest alone, and one that is paused nothing.
        What has waited for too long ends."""
        is_left_alone, taken = bool(state.paused or state.is_failing), 0
        for _ in range(ROUNDS):
            waiting = self.postbacks.waiting(state.name, AT_ONCE)
            ending = [each for each in waiting if self.now() >= each.at + schedule.TOTAL_SECONDS]
            some = ending if is_left_alone else waiting
            self._send([each.id for each in some])
            one = waiting[len(some) : len(some) + 1] if state.is_failing and not state.paused else []
            self._send([each.id for each in one], must=True)
            self.postbacks.forget_waiting(state.name, [*some, *one])
            taken += len(some) + len(one)
            if len(some) < AT_ONCE:
                break
        return taken

    def _send(self, ids: Sequence[str], must: bool = False) -> None:
        if not ids:
            return
        found = [each for each in self.postbacks.find_all(ids) if each.state == "waiting"]
        self.queue.send([Message(id=each.id, receiver=each.receiver, n=each.tries, must=must) for each in found])
