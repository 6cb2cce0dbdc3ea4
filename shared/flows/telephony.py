"""What the flows of calls need beside a world: who owns a number, calls as facts, providers."""

from dataclasses import dataclass

from shared.domain.models import Endpoint
from shared.flows.world import World
from shared.store.calls import Calls
from shared.store.owners import Owners

VERSIONS = 100
"""Versions of endpoints that a process remembers before it forgets all of them."""
KnownVersions = dict[tuple[str, int], Endpoint]


@dataclass(slots=True, frozen=True)
class Telephony:
    """`versions` is this process's: endpoints as calls in progress met them, which never change."""

    world: World
    calls: Calls
    owners: Owners
    versions: KnownVersions

    def endpoint_of(self, vanity_uri: str, version: int) -> Endpoint:
        """The endpoint by which a call is treated from its first webhook to its last."""
        key = (vanity_uri, version)
        if key not in self.versions:
            self.remember(self.world.compiled.version(vanity_uri, version))
        return self.versions[key]

    def remember(self, endpoint: Endpoint) -> None:
        if len(self.versions) >= VERSIONS:
            self.versions.clear()
        self.versions[endpoint.vanity_uri, endpoint.version] = endpoint
