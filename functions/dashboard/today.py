"""What happens today."""

from shared.edge.desk import Shown, Visit
from shared.operators.desk import Desk


def show(_: Desk, __: Visit) -> Shown:
    return Shown("today.html")
