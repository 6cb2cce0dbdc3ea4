"""The page of a user of the role buyer, and the button by which it pauses itself."""

from urllib.parse import urlencode

from functions.dashboard.log_pages import sentence_of
from shared.domain.objections import NotValid, Refused
from shared.office.dashboard import BOUGHT, ROOT, Page, Redirect, View, Visit
from shared.office.visitors import VisitedOffice
from shared.operators import bought
from shared.operators.access import BUYERS, Office

NAMES = ("from", "to", "cursor")


def show_bought(office: Office, visit: Visit) -> Page:
    query = {name: text for name in NAMES if (text := visit.query.get(name, "").strip())}
    values = {"wanted": query, "wrong": "", "found": None, "following": ""}
    try:
        found = bought.show_bought(office, visit.reader, *(query.get(name, "") for name in NAMES))
    except NotValid as wrong:
        return Page("bought.html", values | {"wrong": sentence_of(wrong.errors)}, 422)
    except Refused as refused:
        return Page("bought.html", values | {"wrong": str(refused)}, 409)
    cursor = found.listed.next_cursor
    following = "?" + urlencode(query | {"cursor": cursor}) if cursor else ""
    return Page("bought.html", values | {"found": found, "following": following})


def pause(office: Office, visit: Visit) -> Redirect:
    paused = visit.values.get("paused") == "true"
    bought.pause_itself(office, visit.reader, visit.path["buyer_id"], paused=paused)
    return Redirect(f"{ROOT}{BOUGHT}")


VIEWS: tuple[View[VisitedOffice], ...] = (
    View("GET", BOUGHT, show_bought, BUYERS),
    View("POST", BOUGHT + "/{buyer_id}/pause", pause, BUYERS),
)
