"""Where a live buyer may be: not in our own network, whatever its name resolves to."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

INSIDE = [
    IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
    )
]  # fmt: skip
"""The IPv4 networks that the registry of special purposes (RFC 6890) does not call global, relays of 6to4, multicast.
They are written down because Python's `is_global` differs from version to version."""
WORLD = IPv6Network("2000::/3")
"""All IPv6 addresses that are given out. Outside are loopback, link-local, unique local and site-local addresses,
multicast, and most ways to write an IPv4 address."""
WORLD_BUT = [IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
"""Protocols (Teredo, ORCHID, benchmarks), documentation, 6to4."""
MAPPED, NAT64 = IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96")
"""IPv6 addresses that are an IPv4 address, and those that lead to one."""


class Forbidden(OSError):
    """A buyer's URL leads where buyers may not be; the message says why, without the URL."""


class Resolver(AbstractResolver):
    """Resolves names to the addresses that are then connected to, or refuses them."""

    def __init__(self) -> None:
        self._names = ThreadedResolver(loop=asyncio.get_running_loop())

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._names.resolve(host, port, family)
        for address in found:
            check_address(address["host"])
        return found

    async def close(self) -> None:
        await self._names.close()


def checked_socket(address: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
    """A socket for an address as `getaddrinfo` gives it, which is checked once more. Raises `Forbidden`."""
    family, kind, protocol, _, (host, *_) = address
    check_address(host)
    return socket.socket(family, kind, protocol)


def check(url: URL) -> None:
    """Raises `Forbidden` for what can be judged without a name's address."""
    if url.scheme != "https":
        raise Forbidden("its URL must be https")
    if url.user or url.password:
        raise Forbidden("its URL must have no user and password")
    try:
        ip_address(url.host or "")
    except ValueError:
        return  # a name: its addresses are checked when it is resolved
    check_address(url.host or "")


def check_address(text: str) -> None:
    """Raises `Forbidden` unless the address is public, and an IPv4 address inside it too."""
    if not _is_public(ip_address(text.partition("%")[0])):
        raise Forbidden("its address is not a public one")


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        if address in MAPPED or address in NAT64:
            return _is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
        return address in WORLD and not any(address in network for network in WORLD_BUT)
    return not any(address in network for network in INSIDE)
