"""Coming and going: by a link that was printed, or at Cognito where there is one."""

from shared.domain.objections import NotAllowed, NotFound, Refused, TokenUnknown
from shared.edge import desk as edge
from shared.edge.cognito import NotSignedIn, Silent, Way
from shared.edge.desk import OURS, ROOT, SIGN_IN, SIGNED_OUT, Elsewhere, Shown, View, Visit
from shared.operators import desk
from shared.operators.access import EVERYBODY
from shared.operators.desk import Desk

BACK = "/signed_in"


def show(world: Desk, visit: Visit) -> Shown | Elsewhere:
    code = visit.query.get("code", "")
    if code or "wrong" in visit.query or world.cognito is None:
        return Shown("sign_in.html", {"code": code, "wrong": "wrong" in visit.query, "cognito": world.cognito})
    desk.attempted(world, visit.source_address)
    way = world.cognito.way(_back(visit))
    kept = (way.state, way.nonce, way.verifier, visit.query.get("to", ""))
    return Elsewhere(way.url, under_way=edge.under_way(world.records.keys, kept))


def sign_in(world: Desk, visit: Visit) -> Elsewhere:
    desk.attempted(world, visit.source_address)
    try:
        user = desk.signed_in(world, visit.values.get("code", ""))
    except TokenUnknown:
        return Elsewhere(f"{SIGN_IN}?wrong")
    return Elsewhere(ROOT, session=edge.session(world.records.keys, user))


def signed_in(world: Desk, visit: Visit) -> Elsewhere:
    """Back from Cognito."""
    if world.cognito is None:
        raise NotFound("There is no such page.")
    desk.attempted(world, visit.source_address)
    kept = edge.kept(world.records.keys, visit)
    if kept is None:
        raise NotAllowed("This sign-in was not begun in this browser, or too long ago.")
    state, nonce, verifier, to = kept
    try:
        user = world.cognito.user(visit.query, Way("", state, nonce, verifier), _back(visit), world.records.now())
        desk.known(world, user)
    except NotSignedIn as why:
        raise NotAllowed(str(why)) from None
    except Silent:
        raise Refused("Cognito does not answer. Try again in a minute.") from None
    except TokenUnknown:
        raise NotAllowed("Cognito knows you, but the configuration has no user of your name.") from None
    session = edge.session(world.records.keys, user)
    return Elsewhere(to if OURS.fullmatch(to) else ROOT, session=session, under_way="")


def sign_out(world: Desk, visit: Visit) -> Elsewhere:
    return Elsewhere(world.cognito.way_out(f"{visit.base}{SIGNED_OUT}") if world.cognito else SIGNED_OUT, session="")


def signed_out(_: Desk, __: Visit) -> Shown:
    return Shown("signed_out.html")


def _back(visit: Visit) -> str:
    return f"{visit.base}{ROOT}{BACK}"


VIEWS: tuple[View[Desk], ...] = (
    View("GET", "/sign_in", show, ()),
    View("POST", "/sign_in", sign_in, ()),
    View("GET", BACK, signed_in, ()),
    View("POST", "/sign_out", sign_out, EVERYBODY),
    View("GET", "/signed_out", signed_out, ()),
)
