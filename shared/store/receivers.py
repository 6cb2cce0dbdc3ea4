"""The receivers of postbacks, as the live configuration has them."""

from typing import Any

from msgspec import Struct, field

from shared.domain.receivers import Receiver, compile_receiver
from shared.store.dynamo import Dynamo
from shared.store.items import bytes_of, number_of, table_key
from shared.store.packing import unpack_json

RECEIVER_SECONDS = 5
"""How long a process goes by what it has read."""


class Memory(Struct):
    """What a process knows: the version that was live when it looked, and all receivers of it by name."""

    version: int = 0
    read_at: float = float("-inf")
    receivers: dict[str, Receiver] = field(default_factory=dict)


class Receivers:
    def __init__(self, dynamo: Dynamo, memory: Memory) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.config_table
        self.memory = memory

    def all(self, now: float) -> dict[str, Receiver]:
        """By name. The live version is looked up once in five seconds, and its receivers are read once. Raises
        `TemporarilyUnavailable`."""
        memory = self.memory
        if not 0 <= now - memory.read_at < RECEIVER_SECONDS:
            pointer = self.dynamo.get(self.table, table_key("CONFIG", "LIVE"))
            version = number_of(pointer, "version") if pointer else 0
            if version != memory.version:
                memory.receivers = self._read(version)
                memory.version = version
            memory.read_at = now
        return memory.receivers

    def _read(self, version: int) -> dict[str, Receiver]:
        records = self.dynamo.partition(self.table, f"CONFIG#{version:08}", "receiver#")
        found = [compile_receiver(unpack_json(bytes_of(each, "body"), dict[str, Any])) for each in records]
        return {receiver.name: receiver for receiver in found}
