"""The dashboard as a table: what is shown at which address, and to whom."""

from functions.dashboard import changes, sections, signing, suppression_lists, today, whole
from shared.edge.desk import View
from shared.operators.access import EVERYBODY
from shared.operators.desk import Desk

VIEWS: tuple[View[Desk], ...] = (
    View("GET", "", today.show, EVERYBODY),
    *signing.VIEWS,
    *sections.VIEWS,
    *suppression_lists.VIEWS,
    *changes.VIEWS,
    *whole.VIEWS,
)
