"""A batch of changes becomes messages on the queue: one for each event and receiver."""

from collections.abc import Callable, Sequence

from shared.domain.keys import Keys
from shared.domain.receivers import Happening, Receiver
from shared.journal.consumer import EndpointOf
from shared.journal.events import Event
from shared.postbacks.events import find_happenings
from shared.postbacks.queue import Message, Queue
from shared.postbacks.signing import message_id
from shared.store.receivers import Receivers


class Announcing:
    """Called with the changes of a batch. It may be repeated: a message that comes twice has the same id. Raises
    `TemporarilyUnavailable`, and `Unreadable`."""

    def __init__(
        self,
        receivers: Receivers,
        queue: Queue,
        keys: Callable[[], Keys],
        endpoint_of: EndpointOf,
        now: Callable[[], int],
    ) -> None:
        self.receivers = receivers
        self.queue = queue
        self.keys = keys
        self.endpoint_of = endpoint_of
        self.now = now

    def __call__(self, changes: Sequence[Event]) -> None:
        receivers = [*self.receivers.all(self.now()).values()] if changes else []
        if not receivers:
            return
        happenings = [happening for change in changes for happening in find_happenings(change, self.endpoint_of)]
        told = [(happening, each) for happening in happenings for each in receivers if happening.is_for(each)]
        if told:
            keys = self.keys()
            self.queue.send([first_message(keys, receiver, happening) for happening, receiver in told])


def first_message(keys: Keys, receiver: Receiver, happening: Happening) -> Message:
    return Message(id=message_id(keys, happening.key, receiver.name), receiver=receiver.name, happening=happening)
