"""Answers in gzip for clients that take it. The function compresses, because API Gateway does not.

PING, POST and FULL stay as they are: their bytes are a contract. If a page has a secret and repeats a part of its
address, its compressed length tells the secret (BREACH). So the one secret in pages, the token of forms, is new each
time.
"""

import base64
import zlib
from collections.abc import Mapping
from typing import Any

LEAST_BYTES = 1024
LEVEL = 5
GZIP = 31
"""What zlib calls gzip's format with the largest window."""


def compress(event: Mapping[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    """The response, in gzip if it is text, large enough, and the client takes it."""
    if response.get("isBase64Encoded"):
        return response
    headers = response["headers"]
    vary = ", ".join(filter(None, (headers.get("Vary"), "Accept-Encoding")))
    response = response | {"headers": headers | {"Vary": vary}}
    raw = response["body"].encode()
    if len(raw) < LEAST_BYTES or not _takes_gzip(event.get("headers", {}).get("accept-encoding", "")):
        return response
    encoded = {"Content-Encoding": "gzip"}
    if (tag := headers.get("ETag", "")) and not tag.startswith("W/"):
        encoded["ETag"] = f"W/{tag}"  # the same content in other bytes
    body = base64.b64encode(zlib.compress(raw, LEVEL, GZIP)).decode()
    return response | {"headers": response["headers"] | encoded, "body": body, "isBase64Encoded": True}


def _takes_gzip(accepted: str) -> bool:
    qualities = {}
    for part in accepted.lower().split(","):
        name, _, parameters = part.partition(";")
        qualities[name.strip()] = parameters.replace(" ", "")
    quality = qualities.get("gzip", qualities.get("*", "q=0"))
    return quality.rstrip("0.") != "q="
