"""How far two clocks are apart, by a date of whole seconds."""

from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.store.clocks import SKEWED_SECONDS, seconds_apart

HOUR = 3600
NOISE = 1e-3
"""What floats lose of seconds since the epoch, and more."""


@given(
    skew=st.floats(-HOUR, HOUR),
    sent=st.floats(4e9, 4.1e9),
    trip=st.floats(0, 1),
    part=st.floats(0, 1),
)
def test_a_wrong_clock_is_always_found_and_never_a_right_one(
    skew: float, sent: float, trip: float, part: float
) -> None:
    dated = floor(sent + part * trip)
    found = seconds_apart(sent + skew, sent + trip + skew, dated)
    if found > SKEWED_SECONDS:
        assert SKEWED_SECONDS - NOISE <= abs(skew) <= found + NOISE
        assert found <= abs(skew) + 1 + trip + NOISE
    else:
        assert found <= abs(skew) + NOISE
        assert abs(skew) <= SKEWED_SECONDS + 1 + trip + NOISE


@pytest.mark.parametrize(
    ("sent_at", "answered_at", "found"),
    [(100.9, 101.2, 0), (102.5, 102.6, 1.5), (104.0, 104.1, 4.1), (97.2, 97.3, 3.8), (99.0, 400.0, 0)],
    ids=["right", "not surely wrong", "fast", "slow", "a function that was frozen between"],
)
def test_examples(sent_at: float, answered_at: float, found: float) -> None:
    assert seconds_apart(sent_at, answered_at, 100) == pytest.approx(found)
