"""Both OpenAPI documents hold whatever is sent: 2,000 requests that are made of them, the same in every run."""

import io

import pytest

from tests.fuzz import fuzz


@pytest.mark.parametrize(("which", "count"), [("publishers", 1400), ("operators", 600)])
def test_every_answer_is_one_that_the_document_describes(which: str, count: int, log: io.StringIO) -> None:
    with fuzz() as made:
        made.run(getattr(made, which)(), count, 0)
    codes = {code for _, code in made.answered}
    assert {200, 401, 422} <= codes
    assert max(codes) < 500
    assert log.getvalue()
