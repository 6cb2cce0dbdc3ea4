"""What operators' functions need from the store."""

from collections.abc import Callable

from shared.domain.keys import Keys
from shared.store.applying import Applying
from shared.store.dynamo import Dynamo
from shared.store.layouts import Layouts
from shared.store.pings import Pings
from shared.store.rings import Rings
from shared.store.tokens import Tokens
from shared.store.versions import Known, Versions


class Records:
    """`now` is the clock, in seconds since the epoch."""

    def __init__(self, dynamo: Dynamo, signing_keys: Keys, now: Callable[[], int], known: Known | None = None) -> None:
        self.dynamo = dynamo
        self.keys = signing_keys
        self.now = now
        self.rings = Rings(dynamo, {})
        self.pings = Pings(dynamo)
        self.versions = Versions(dynamo, now, known)
        self.tokens = Tokens(self.versions, signing_keys)
        self.applying = Applying(self.versions, self.tokens, Layouts(self.versions, self.rings))
