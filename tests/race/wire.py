"""DynamoDB's wire without its SDK, which takes most of the time of a machine: for one request at a time, to a local
engine that takes any signature. It fails as the SDK does."""

import base64
import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HEADERS = {
    "content-type": "application/x-amz-json-1.0",
    "x-amz-date": "21000101T000000Z",
    "authorization": f"AWS4-HMAC-SHA256 Credential={engine.KEY}/21000101/{engine.REGION}/dynamodb/aws4_request, "
    "SignedHeaders=host, Signature=0",
}


class Wire:
    """A client with the operations that functions use."""

    def __init__(self, client: "DynamoDBClient") -> None:
        self.exceptions: Any = client.exceptions
        self.meta = client.meta
        self.connection = http.client.HTTPConnection(urlsplit(client.meta.endpoint_url).netloc)

    def __getattr__(self, name: str) -> Any:
        found = partial(self._send, name.title().replace("_", ""))
        found.__name__ = name  # type: ignore[attr-defined]
        setattr(self, name, found)
        return found

    def _send(self, operation: str, **request: Any) -> Any:
        body = json.dumps(request, default=_as_base64)
        self.connection.request("POST", "/", body, HEADERS | {"x-amz-target": f"DynamoDB_20120810.{operation}"})
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        if response.status == http.HTTPStatus.OK:
            return _with_bytes(answer)
        code = answer["__type"].rpartition("#")[2]
        error = {"Code": code, "Message": answer.get("message") or answer.get("Message", "")}
        raise self.exceptions.from_code(code)({**_with_bytes(answer), "Error": error}, operation)


@contextmanager
def fast(client: "DynamoDBClient") -> "Iterator[DynamoDBClient]":
    wire = Wire(client)
    with closing(wire.connection):
        yield cast("DynamoDBClient", wire)


def _as_base64(value: Any) -> str:
    return base64.b64encode(value).decode()


def _with_bytes(value: Any) -> Any:
    """An answer with its binary values as bytes."""
    if isinstance(value, list):
        return [_with_bytes(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    if len(value) == 1:
        [(letter, held)] = value.items()
        if letter == "B" and isinstance(held, str):
            return {letter: base64.b64decode(held)}
        if letter == "BS" and isinstance(held, list):
            return {letter: [base64.b64decode(each) for each in held]}
    return {name: _with_bytes(each) for name, each in value.items()}
