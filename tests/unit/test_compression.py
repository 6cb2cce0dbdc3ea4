"""Answers in gzip, for who takes it."""

import base64
import gzip
from typing import Any

import pytest

from shared.http.compression import LEAST_BYTES, compress

PAGE = "<p>é</p>" * LEAST_BYTES


def answered(accepted: str | None, body: str = PAGE, **headers: str) -> dict[str, Any]:
    sent = {} if accepted is None else {"accept-encoding": accepted}
    return compress({"headers": sent}, {"statusCode": 200, "headers": headers, "body": body, "isBase64Encoded": False})


@pytest.mark.parametrize("accepted", ["gzip", "deflate, gzip;q=0.5", "br, GZIP", "*", "gzip; q=1.0"])
def test_who_takes_gzip_gets_it(accepted: str) -> None:
    answer = answered(accepted, ETag='"a"', Vary="Accept")
    assert answer["isBase64Encoded"]
    assert gzip.decompress(base64.b64decode(answer["body"])).decode() == PAGE
    assert answer["headers"] == {"Content-Encoding": "gzip", "ETag": 'W/"a"', "Vary": "Accept, Accept-Encoding"}


@pytest.mark.parametrize("accepted", [None, "", "br", "gzip;q=0", "gzip;q=0.000, *", "*;q=0", "identity", "x-gzipped"])
def test_who_does_not_take_it_gets_the_text(accepted: str | None) -> None:
    answer = answered(accepted, ETag='"a"')
    assert answer["body"] == PAGE
    assert answer["headers"] == {"ETag": '"a"', "Vary": "Accept-Encoding"}


def test_what_is_small_stays_as_it_is() -> None:
    assert answered("gzip", "x" * (LEAST_BYTES - 1))["body"] == "x" * (LEAST_BYTES - 1)
