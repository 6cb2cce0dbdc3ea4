"""Every refusal has a public status and an HTTP code."""

import re

import pytest

from shared.domain.refusals import NoNumberAvailable, Refusal, TooManyLeases
from shared.publishers.answers import HTTP_STATUS

CODES = {
    "no_matching_buyer": 200,
    "caller_id_required": 200,
    "caller_number_suppressed": 200,
    "duplicate_caller": 200,
    "ping_id_expired": 200,
    "ping_id_unknown": 200,
    "ping_id_used": 200,
    "buyer_mismatch": 200,
    "buyer_unavailable": 200,
    "no_number_available": 200,
    "too_many_leases": 200,
    "malformed_request": 400,
    "unauthorized": 401,
    "unknown_endpoint": 404,
    "method_not_allowed": 405,
    "request_too_large": 413,
    "invalid_fields": 422,
    "rate_limited": 429,
    "internal_error": 500,
    "temporarily_unavailable": 503,
}
"""The public contract, as publishers were told."""


def every_refusal(kind: type[Refusal] = Refusal) -> list[type[Refusal]]:
    return [found for child in kind.__subclasses__() for found in (child, *every_refusal(child))]


def test_every_refusal_has_an_http_code() -> None:
    assert set(every_refusal()) == set(HTTP_STATUS)


@pytest.mark.parametrize("refusal", every_refusal())
def test_a_refusal_has_the_http_code_that_publishers_were_told(refusal: type[Refusal]) -> None:
    assert CODES[refusal.status] == HTTP_STATUS[refusal]


def test_no_two_refusals_share_a_status() -> None:
    assert len({refusal.status for refusal in every_refusal()}) == len(every_refusal())


@pytest.mark.parametrize("refusal", every_refusal())
def test_no_status_reads_like_a_success(refusal: type[Refusal]) -> None:
    """Publishers' clients search statuses for these words."""
    assert not re.search("accept|success|matched", refusal.status)
    assert re.fullmatch("[a-z]+(_[a-z]+)*", refusal.status)


@pytest.mark.parametrize("refusal", every_refusal())
def test_a_refusal_tells_the_publisher_one_whole_sentence(refusal: type[Refusal]) -> None:
    assert re.fullmatch(r"[A-Z].*\.", refusal.sentence)


@pytest.mark.parametrize(("seconds", "told"), [(-5, 1), (0, 1), (1, 1), (90, 90)])
def test_a_publisher_is_never_told_to_retry_at_once(seconds: int, told: int) -> None:
    assert NoNumberAvailable(seconds).retry_after_seconds == told
    assert TooManyLeases(seconds).retry_after_seconds == told
