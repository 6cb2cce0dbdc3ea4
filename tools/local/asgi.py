"""The little of ASGI that the two servers share."""

import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import uvicorn

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

# A request line and headers of this size still reach the function: what is too large for it, it says itself.
HEAD_BYTES = 256 * 1024
# Longer than any function runs, so that no worker posts its answer on a connection that is just being closed.
KEEP_ALIVE_SECONDS = 60


class BodyTooLarge(Exception):
    """The body has more bytes than the limit; the rest of it was not read."""


class ClientGone(Exception):
    """The client closed the connection before the end of its body."""


class Server(uvicorn.Server):
    """One of several in a loop, so it leaves the signals alone. `should_exit` stops it within 1.3 seconds."""

    def __init__(self, application: Application) -> None:
        config = uvicorn.Config(
            application,
            interface="asgi3",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=HEAD_BYTES,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(port: int) -> socket.socket:
    """A loopback listener; port 0 takes a free one. Raises `OSError`."""
    # Told the protocol, asyncio sets TCP_NODELAY on its connections. Without that each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    return listener


async def body(receive: Receive, limit_bytes: int) -> bytes:
    """The whole body. Raises `BodyTooLarge` and `ClientGone`."""
    read = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        read += message["body"]
        if len(read) > limit_bytes:
            raise BodyTooLarge
        if not message["more_body"]:
            return bytes(read)


async def reply(send: Send, status: int, content: bytes, headers: Headers) -> None:
    length = (b"content-length", str(len(content)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": content})
