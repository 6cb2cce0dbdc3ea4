"""Coming and going: by a link that was printed, or at Cognito where there is one."""

from shared.domain.objections import NotAllowed, NotFound, Refused, TokenUnknown
from shared.office import dashboard as edge
from shared.office import visitors
from shared.office.cognito import NoAnswer, NotSignedIn, SignInAttempt
from shared.office.dashboard import OURS, ROOT, SIGN_IN, SIGNED_OUT, Page, Redirect, Renewal, Session, View, Visit
from shared.office.visitors import VisitedOffice
from shared.operators.access import EVERYBODY

BACK = "/signed_in"


def show_sign_in(world: VisitedOffice, visit: Visit) -> Page | Redirect:
    code = visit.query.get("code", "")
    if code or "wrong" in visit.query or world.cognito is None:
        return Page("sign_in.html", {"code": code, "wrong": "wrong" in visit.query, "cognito": world.cognito})
    visitors.count_sign_in(world, visit.source_address)
    attempt = world.cognito.begin(_back(visit))
    kept = (attempt.state, attempt.nonce, attempt.verifier, visit.query.get("to", ""))
    return Redirect(attempt.url, under_way=edge.under_way_cookie(world.records.keys, kept))


def sign_in(world: VisitedOffice, visit: Visit) -> Redirect:
    visitors.count_sign_in(world, visit.source_address)
    try:
        user = visitors.redeem_code(world, visit.values.get("code", ""))
    except TokenUnknown:
        return Redirect(f"{SIGN_IN}?wrong")
    begun = Session(user, world.records.tokens.begin_session(user))
    return Redirect(ROOT, session=edge.session_cookie(world.records.keys, begun))


def finish_sign_in(world: VisitedOffice, visit: Visit) -> Redirect:
    """Back from Cognito."""
    if world.cognito is None:
        raise NotFound("There is no such page.")
    visitors.count_sign_in(world, visit.source_address)
    kept = edge.read_under_way(world.records.keys, visit)
    if kept is None:
        raise NotAllowed("This sign-in was not begun in this browser, or too long ago.")
    state, nonce, verifier, to = kept
    records = world.records
    try:
        came = world.cognito.user(visit.query, SignInAttempt("", state, nonce, verifier), _back(visit), records.now())
        visitors.find_user(world, came.name)
    except NotSignedIn as why:
        raise NotAllowed(str(why)) from None
    except NoAnswer:
        raise Refused("Cognito does not answer. Try again in a minute.") from None
    except TokenUnknown:
        raise NotAllowed("Cognito knows you, but the configuration has no user of your name.") from None
    begun = Session(came.name, records.tokens.begin_session(came.name), elsewhere=True)
    checked = Renewal(came.name, records.now(), came.refresh_token)
    return Redirect(
        to if OURS.fullmatch(to) else ROOT,
        session=edge.session_cookie(records.keys, begun),
        renewal=edge.renewal_cookie(records.keys, checked),
        under_way="",
    )


def sign_out(world: VisitedOffice, visit: Visit) -> Redirect:
    """In every browser."""
    world.records.tokens.end_sessions(visit.user.name, visit.generation)
    to = world.cognito.logout_url(f"{visit.base}{SIGNED_OUT}") if world.cognito else SIGNED_OUT
    return Redirect(to, session="", renewal="")


def show_signed_out(_: VisitedOffice, __: Visit) -> Page:
    return Page("signed_out.html")


def _back(visit: Visit) -> str:
    return f"{visit.base}{ROOT}{BACK}"


VIEWS: tuple[View[VisitedOffice], ...] = (
    View("GET", "/sign_in", show_sign_in, ()),
    View("POST", "/sign_in", sign_in, ()),
    View("GET", BACK, finish_sign_in, ()),
    View("POST", "/sign_out", sign_out, EVERYBODY),
    View("GET", "/signed_out", show_signed_out, ()),
)
