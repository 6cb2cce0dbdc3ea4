"""What the how-to page says of costs."""

from tools import costs
from tools.engine import ROOT


def test_the_page_has_the_costs_as_they_are_computed() -> None:
    page = (ROOT / "docs" / "how-to" / "what-it-costs.md").read_text()
    assert costs.table() in page
    assert f"list prices of {costs.REGION} on {costs.PRICED_ON}" in page
