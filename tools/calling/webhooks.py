"""How the local provider reaches the service: signed forms, one after another on one connection."""

import http.client
import time
from collections.abc import Mapping
from typing import NamedTuple, Self
from urllib.parse import urlencode, urljoin, urlsplit

from shared.providers import local

ACCOUNT = "local"
TIMEOUT_SECONDS = 15
"""A provider waits no longer for an answer."""


class NotRunning(Exception):
    """No service answers there. The message is one sentence."""


class Answer(NamedTuple):
    url: str
    code: int
    body: bytes


class Webhooks:
    """`url` is the service's, `key` the secret of the provider that is called `provider` in the configuration."""

    def __init__(self, url: str, key: str, provider: str = "local") -> None:
        self._root = f"{url}/calls/{provider}/"
        self._key = key
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, step: str, form: Mapping[str, str], after: str = "") -> Answer:
        """`step` is an address: below the provider's, or relative to that of the answer in which it was. No
        answer in time is a 504. Raises `NotRunning`."""
        url = urljoin(after or self._root, step)
        body = urlencode({"AccountSid": ACCOUNT, **form}).encode()
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            local.TIMESTAMP: timestamp,
            local.SIGNATURE: local.sign(self._key, timestamp, body),
        }
        parts = urlsplit(url)
        try:
            self._connection.request(
                "POST", f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers
            )
            answer = self._connection.getresponse()
            return Answer(url, answer.status, answer.read())
        except TimeoutError:
            self._connection.close()
            return Answer(url, 504, b"")
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise NotRunning(f"No service answers at {urljoin(url, '/')}. Start it with `make run`.") from None
