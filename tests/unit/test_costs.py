"""What the README says of costs."""

from tools import costs
from tools.engine import ROOT


def test_the_readme_has_the_costs_as_they_are_computed() -> None:
    readme = (ROOT / "README.md").read_text()
    assert costs.table() in readme
    assert f"list prices of {costs.REGION} on {costs.PRICED_ON}" in readme
