"""The dashboard as a table: what is shown at which address, and to whom."""

from functions.dashboard import (
    call_pages,
    change_pages,
    file_page,
    log_pages,
    question_pages,
    report_pages,
    sections,
    signing,
    suppression_pages,
)
from shared.office.dashboard import View
from shared.office.visitors import VisitedOffice

VIEWS: tuple[View[VisitedOffice], ...] = (
    *signing.VIEWS,
    *log_pages.VIEWS,
    *call_pages.VIEWS,
    *report_pages.VIEWS,
    *question_pages.VIEWS,
    *sections.VIEWS,
    *suppression_pages.VIEWS,
    *change_pages.VIEWS,
    *file_page.VIEWS,
)
