"""Who sends a request, and its lead, checked whole."""

from collections.abc import Collection

from msgspec.structs import replace

from shared.domain import fields, keys, values
from shared.domain.models import (
    SOURCE_LETTERS,
    TRY_ALL,
    Endpoint,
    Lead,
    Scope,
    Step,
    User,
)
from shared.domain.refusals import (
    BuyerMismatch,
    CallerIdRequired,
    InvalidFields,
    PingIdUnknown,
    Unauthorized,
)
from shared.domain.tracking import tracking_of
from shared.flows.turn import Turn
from shared.flows.world import World
from shared.publishers.requests import Request


def authenticate(
    world: World, endpoint: Endpoint, request: Request, required: bool, scopes: Collection[Scope]
) -> User | None:
    """The user who sends this; None only if no token was sent, and none is required. A request without a token costs as
    much as one with a wrong token. Raises `Unauthorized`."""
    if not request.tokens and not required:
        return None
    hashes = [each for token in request.tokens or [""] for each in keys.token_hashes(world.keys, token)]
    token = world.compiled.credential(hashes, scopes, world.now())
    user = next((user for user in endpoint.users if token and user.name == token.user), None)
    if token is None or user is None:
        raise Unauthorized
    world.callers.note_token_use(token.id, world.now())
    return replace(user, role="publisher") if token.scope == "post" and user.role == "operator" else user


def find_publisher(world: World, endpoint: Endpoint, request: Request) -> User | None:
    """The user who sends a lead. A viewer may not; an operator with a token for post counts as a publisher. Raises
    `Unauthorized`."""
    user = authenticate(world, endpoint, request, endpoint.require_auth_token, ("post", "operate"))
    if endpoint.require_auth_token and user and user.role == "viewer":
        raise Unauthorized
    return user


def read_whole_lead(
    turn: Turn, steps: tuple[Step, ...], needs_ping_id: bool = False
) -> tuple[Lead, Lead, fields.Problems]:
    """The whole lead, the values of the request that are left out of it, and warnings about these."""
    lead, unread, problems = read_values(turn)
    if needs_ping_id and tracking_of(turn.endpoint).needs_ping_id:
        problems["ping_id"] = [fields.required("ping_id", "post")]
    lead, warnings = check_lead(turn, lead, problems, steps)
    return lead, unread, warnings


def read_values(turn: Turn) -> tuple[Lead, Lead, fields.Problems]:
    """The lead that was sent, the values that its fields cannot have, as they were sent, and the sentences why."""
    sent = turn.request.sent([field.name for field in turn.endpoint.fields])
    lead, problems = fields.read(turn.endpoint.fields, sent, turn.endpoint.default_region)
    unread = {name: text for name, text in sent.items() if name not in lead and not values.is_nothing(text)}
    return lead, Lead(unread), problems


def check_lead(
    turn: Turn,
    lead: Lead,
    problems: fields.Problems,
    steps: tuple[Step, ...],
    source_of_ping: str = "",
) -> tuple[Lead, fields.Problems]:
    """The whole lead with its defaults, once everything that these steps need is there and right; and warnings about
    what was left out. Whose traffic source a ping has was checked when it was made."""
    if turn.endpoint.require_caller_id and not lead.caller and "caller_id" not in problems:
        raise CallerIdRequired
    named = lead.source
    lead = fields.complete(turn.endpoint.fields, lead)
    unread, problems = problems, fields.missing(turn.endpoint.fields, lead, steps) | problems
    needed = {"ping_id", *(("caller_id",) if turn.endpoint.require_caller_id else ())}
    tracking = tracking_of(turn.endpoint)
    bound = tracking.source_of(tracking.number_of_lead(lead))
    if objection := tracking.object_to_number(lead):
        problems.setdefault("trackdrive_number", [objection])
        needed.add("trackdrive_number")
    elif bound:
        lead["traffic_source_id"] = bound
    source = lead.get("traffic_source_id")
    if turn.user and turn.user.traffic_sources and source and source not in turn.user.traffic_sources:
        problems["traffic_source_id"] = ["traffic_source_id must be one of your traffic sources."]
        needed.add("traffic_source_id")
    elif claimed := _object_to_source(turn, named, bound[:SOURCE_LETTERS], source_of_ping):
        problems["traffic_source_id"] = [claimed]
        needed.add("traffic_source_id")
    lenient = turn.endpoint.validation == "lenient"
    warnings = fields.warnings(turn.endpoint.fields, unread, steps, needed) if lenient else {}
    if problems.keys() - warnings.keys():
        raise InvalidFields(problems)
    return lead, warnings


def _object_to_source(turn: Turn, named: str, bound: str, source_of_ping: str) -> str:
    """A sentence if the request names a traffic source of another user, or of any user without a token; else empty.
    Operators may name any. Without a token the source to which a static number is bound is allowed."""
    if turn.user and (turn.user.traffic_sources or turn.user.role == "operator"):
        return ""
    if named and named == source_of_ping:
        return ""
    if turn.user is None:
        is_claimed = named != bound and named in turn.endpoint.owned_sources
        return "traffic_source_id belongs to a user: send its auth_token, too." if is_claimed else ""
    is_claimed = not turn.endpoint.owned_sources.isdisjoint((named, bound))
    return "traffic_source_id belongs to another user." if is_claimed else ""


def read_choice(request: Request, choice: int) -> int:
    """Which buyer is wanted: the ping id's, or the one that `buyer_id` names. Raises `BuyerMismatch` if they differ."""
    if not request.buyer_id:
        return choice
    named = int(request.buyer_id) if request.buyer_id.isdecimal() and len(request.buyer_id) < 12 else TRY_ALL
    if named == TRY_ALL or choice not in (TRY_ALL, named):
        raise BuyerMismatch
    return named


def start_turn(world: World, endpoint: Endpoint, request: Request) -> Turn:
    """Raises `Unauthorized`."""
    return Turn(world, endpoint, find_publisher(world, endpoint, request), request)


def read_ping_id(turn: Turn) -> tuple[bytes, int]:
    """The ping that is posted, and which buyer is wanted. Raises `PingIdUnknown` and `BuyerMismatch`."""
    known = keys.read_ping_id(turn.world.keys, turn.endpoint.vanity_uri, turn.request.ping_id)
    if known is None:
        raise PingIdUnknown
    return known[0], read_choice(turn.request, known[1])


def read_posted(turn: Turn) -> tuple[Lead, Lead, fields.Problems]:
    """See `read_values`. To a static number a POST has to bring its caller: so the call will be told apart."""
    posted, unread, problems = read_values(turn)
    if "caller_id" in tracking_of(turn.endpoint).asks and not posted.caller:
        problems.setdefault("caller_id", [fields.required("caller_id", "post")])
    return posted, unread, problems
