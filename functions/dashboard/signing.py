"""Coming and going."""

from shared.domain.objections import TokenUnknown
from shared.edge import desk as edge
from shared.edge.desk import ROOT, SIGN_IN, Elsewhere, Shown, View, Visit
from shared.operators import desk
from shared.operators.access import EVERYBODY
from shared.operators.desk import Desk


def show(_: Desk, visit: Visit) -> Shown:
    return Shown("sign_in.html", {"code": visit.query.get("code", ""), "wrong": "wrong" in visit.query})


def sign_in(world: Desk, visit: Visit) -> Elsewhere:
    try:
        user = desk.signed_in(world, visit.values.get("code", ""))
    except TokenUnknown:
        return Elsewhere(f"{SIGN_IN}?wrong")
    return Elsewhere(ROOT, session=edge.session(world.records.keys, user))


def sign_out(_: Desk, __: Visit) -> Elsewhere:
    return Elsewhere(SIGN_IN, session="")


VIEWS: tuple[View[Desk], ...] = (
    View("GET", "/sign_in", show, ()),
    View("POST", "/sign_in", sign_in, ()),
    View("POST", "/sign_out", sign_out, EVERYBODY),
)
