"""A buyer that keeps failing is skipped for a while, tried, and taken back."""

from shared.bidders.breaker import FAILURES, FIRST_SECONDS, LONGEST_SECONDS, Breaker


def failing(breaker: Breaker, times: int, now: float = 0, final: bool = False) -> None:
    for _ in range(times):
        breaker.failed(1, final, "HTTP 500", now)


def test_a_few_failures_skip_nobody_and_enough_of_them_do() -> None:
    breaker = Breaker()
    failing(breaker, FAILURES - 1)
    assert breaker.skips(1, 0) == ""
    failing(breaker, 1)
    assert breaker.skips(1, 0) == "skipped for 10 s more after 5 failures in a row, the last: HTTP 500"
    assert breaker.skips(1, 4) == "skipped for 6 s more after 5 failures in a row, the last: HTTP 500"
    assert breaker.skips(2, 0) == ""


def test_failures_that_are_not_in_a_row_skip_nobody() -> None:
    breaker = Breaker()
    for _ in range(3):
        failing(breaker, FAILURES - 1)
        breaker.worked(1, final=False)
    assert breaker.skips(1, 0) == ""


def test_it_is_tried_again_and_skipped_for_longer_each_time_up_to_the_longest() -> None:
    breaker, now, seconds = Breaker(), 0.0, FIRST_SECONDS
    failing(breaker, FAILURES)
    for _ in range(8):
        assert breaker.skips(1, now + seconds - 0.1)
        assert breaker.skips(1, now + seconds) == ""
        now += seconds
        failing(breaker, 1, now)
        seconds = min(2 * seconds, LONGEST_SECONDS)
        assert breaker.skips(1, now)


def test_one_that_works_again_is_taken_back_with_a_clean_sheet() -> None:
    breaker = Breaker()
    failing(breaker, FAILURES)
    breaker.worked(1, final=False)
    assert breaker.skips(1, 0) == ""
    failing(breaker, FAILURES - 1)
    assert breaker.skips(1, 0) == ""


def test_a_buyer_that_bids_and_fails_to_buy_is_skipped_until_it_buys() -> None:
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker.worked(1, final=False)
        failing(breaker, 1, final=True)
    assert breaker.skips(1, 0) == "skipped for 10 s more after 5 failures of posts in a row, the last: HTTP 500"
    assert breaker.skips(1, FIRST_SECONDS) == ""
    breaker.worked(1, final=False)
    failing(breaker, 1, FIRST_SECONDS, final=True)
    assert breaker.skips(1, 2.5 * FIRST_SECONDS)
    breaker.worked(1, final=True)
    assert breaker.skips(1, FIRST_SECONDS) == ""
