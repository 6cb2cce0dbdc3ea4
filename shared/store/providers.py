"""The accounts at telephony providers, as the live configuration has them."""

from typing import Literal

from msgspec import Struct, field

from shared.domain.models import Provider
from shared.store.dynamo import Dynamo, Item
from shared.store.items import bytes_of, number_of, table_key
from shared.store.packing import unpack_json

PROVIDER_SECONDS = 5
"""How long a process goes by what it has read."""
BEFORE_NAME = "{secret."


class Memory(Struct):
    """What a process knows: the version that was live when it looked, and all providers of it by name."""

    version: int = 0
    read_at: float = float("-inf")
    providers: dict[str, Provider] = field(default_factory=dict)


class _Configured(Struct):
    """A provider as the file has it. A token is `{secret.NAME}`."""

    name: str
    kind: Literal["twilio", "telnyx", "local"]
    account: str
    token: str
    previous_token: str = ""


class Providers:
    def __init__(self, dynamo: Dynamo, memory: Memory) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.config_table
        self.memory = memory

    def find(self, name: str, now: float) -> Provider | None:
        """However many ask, and for whatever names, the live version is looked up once in five seconds, and its
        providers are read once. Raises `TemporarilyUnavailable`."""
        memory = self.memory
        if not 0 <= now - memory.read_at < PROVIDER_SECONDS:
            pointer = self.dynamo.get(self.table, table_key("CONFIG", "LIVE"))
            version = number_of(pointer, "version") if pointer else 0
            if version != memory.version:
                memory.providers = self._read(version)
                memory.version = version
            memory.read_at = now
        return memory.providers.get(name)

    def _read(self, version: int) -> dict[str, Provider]:
        records = self.dynamo.partition(self.table, f"CONFIG#{version:08}", "provider#")
        return {provider.name: provider for provider in map(_provider, records)}


def _provider(record: Item) -> Provider:
    found = unpack_json(bytes_of(record, "body"), _Configured)
    tokens = [token for token in (found.token, found.previous_token) if token]
    names = tuple(token.removeprefix(BEFORE_NAME).removesuffix("}") for token in tokens)
    return Provider(found.name, found.kind, found.account, names)
