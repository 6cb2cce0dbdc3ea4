"""The dashboard as a table: what is shown at which address, and to whom."""

from functions.dashboard import changes, sections, signing, suppression_lists, watching, whole
from shared.edge.desk import View
from shared.operators.desk import Desk

VIEWS: tuple[View[Desk], ...] = (
    *signing.VIEWS,
    *watching.VIEWS,
    *sections.VIEWS,
    *suppression_lists.VIEWS,
    *changes.VIEWS,
    *whole.VIEWS,
)
