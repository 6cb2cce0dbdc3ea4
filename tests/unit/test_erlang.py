"""Erlang B against its published tables: the load that so many numbers carry at a blocking of 1 %."""

import pytest

from shared.domain import erlang

TABLE = [(1, 0.0101), (2, 0.1526), (5, 1.3608), (10, 4.4612), (20, 12.031), (50, 37.901), (100, 84.064)]


@pytest.mark.parametrize(("numbers", "load"), TABLE)
def test_so_many_numbers_carry_what_the_table_says(numbers: int, load: float) -> None:
    assert erlang.blocking(load, numbers) == pytest.approx(0.01, rel=0.01)
    an_hour = 3600
    assert erlang.numbers_needed(load * 0.999, an_hour) == numbers
    assert erlang.numbers_needed(load * 1.001, an_hour) == numbers + 1


def test_the_load_is_the_sales_of_an_hour_by_the_length_of_a_lease() -> None:
    assert erlang.numbers_needed(30, 360) == erlang.numbers_needed(3, 3600) == 8
    assert erlang.numbers_needed(0, 360) == 0
    assert erlang.blocking(3.0, 7) > erlang.BLOCKING >= erlang.blocking(3.0, 8)
