"""What would refuse a request, without counting, storing or selling anything."""

from shared.domain import fields, keys
from shared.domain.models import (
    Endpoint,
    Lead,
    Step,
    User,
)
from shared.domain.refusals import (
    BuyerMismatch,
    CallerIdRequired,
    InvalidFields,
    PingIdExpired,
    PingIdUnknown,
    PingIdUsed,
    Refusal,
    Unauthorized,
)
from shared.domain.tracking import tracking_of
from shared.flows.attempts import is_of
from shared.flows.intake import authenticate, check_lead, find_publisher, read_choice, read_posted, read_values
from shared.flows.turn import Turn
from shared.flows.world import World
from shared.publishers.requests import Request
from shared.store.pings import Claim, State


def check_reader(world: World, endpoint: Endpoint, request: Request) -> None:
    """Raises `Unauthorized` if the posting instructions are for users and the request has no token of one."""
    if endpoint.instructions == "token":
        authenticate(world, endpoint, request, True, ("read", "operate"))


def check(world: World, endpoint: Endpoint, request: Request, verb: str) -> tuple[Lead, list[Refusal], fields.Problems]:
    """How a request is read, all that would refuse it before anybody is asked, and the warnings of its answer. Nothing
    is counted, stored or sold; a POST's ping is only read."""
    found: list[Refusal] = []
    user: User | None = None
    try:
        user = find_publisher(world, endpoint, request)
    except Unauthorized as refused:
        found.append(refused)
    is_of_ping = verb == "post" and bool(request.ping_id)
    read = read_posted if is_of_ping else read_values
    lead, _, problems = read(Turn(world, endpoint, user, request))
    steps: tuple[Step, ...] = ("ping",) if verb == "ping" else ("ping", "post")
    stored, whole = Lead(), lead
    if is_of_ping:
        steps = ("post",)
        world = world.with_newest_keys(endpoint, request.ping_id)
        known = keys.read_ping_id(world.keys, endpoint.vanity_uri, request.ping_id)
        claim = world.pings.read(known[0], world.now()) if known else Claim(State.UNKNOWN)
        if known is None or claim.ping is None or not is_of(claim.ping, user):
            return lead, [*found, PingIdUsed() if claim.state is State.SPENT else PingIdUnknown()], {}
        try:
            read_choice(request, known[1])
        except BuyerMismatch as refused:
            found.append(refused)
        if claim.state in (State.SOLD, State.EXPIRED):
            found.append(PingIdUsed() if claim.sale else PingIdExpired())
        stored, whole = claim.ping.lead, Lead(claim.ping.lead | lead)
    elif verb == "post" and tracking_of(endpoint).needs_ping_id:
        problems["ping_id"] = [fields.required("ping_id", "post")]
    warnings: fields.Problems = {}
    try:
        _, warnings = check_lead(Turn(world, endpoint, user, request), whole, problems, steps, stored.source)
    except (CallerIdRequired, InvalidFields) as refused:
        found.append(refused)
    _, rest = fields.keep(endpoint.fields, lead, stored)
    return lead, found, warnings | fields.not_kept(rest)
