"""Where a live buyer may be: not in our own network, whatever its name resolves to."""

import asyncio
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

NAT64 = IPv6Network("64:ff9b::/96")


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
    """Raises `Forbidden` unless the address is a public one, and so is any that is written inside of it."""
    if not all(map(_is_public, _meant(ip_address(text.partition("%")[0])))):
        raise Forbidden("its address is not a public one")


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    site_local = isinstance(address, IPv6Address) and address.is_site_local
    return address.is_global and not address.is_multicast and not site_local


def _meant(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    inside: list[Any] = []
    if isinstance(address, IPv6Address):
        inside = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in NAT64:
            inside.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    meant = [each for each in inside if each is not None]
    yield from meant
    if not (isinstance(address, IPv6Address) and address.ipv4_mapped):  # which Python calls private as such
        yield address
