"""The three requests from start to end: `ping`, `post` and `full`. Each takes a request and gives the body of its
answer, or raises the `Refusal` that says why not."""

import dataclasses

from msgspec.structs import replace

from shared.domain import fields, keys, matching
from shared.domain.models import Endpoint, Lead
from shared.domain.refusals import NoMatchingBuyer, PingIdExpired
from shared.flows import attempts, intake, pricing, selling, tracking
from shared.flows.refusing import store_on_refusal
from shared.flows.turn import Selling
from shared.flows.world import World
from shared.publishers import answers
from shared.publishers.requests import Request
from shared.store.pings import State


@pricing.store_unmatched
def ping(world: World, endpoint: Endpoint, request: Request) -> bytes:
    turn = intake.start_turn(world, endpoint, request)
    with store_on_refusal(turn):
        lead, unread, warnings = intake.read_whole_lead(turn, ("ping",))
        lead, rest = fields.keep(endpoint.fields, lead, {})
        warnings |= fields.not_kept(rest)
        priced = pricing.find_bids(turn, lead, warnings, {"pings"})
    if not lead.caller:
        priced = replace(priced, rest=keys.digest(world.keys, Lead(unread | rest)))
    failures = pricing.explain_failures(turn, priced)
    if not priced.bids:
        raise NoMatchingBuyer(priced, failures)
    pricing.store_ping(world, priced, *tracking.number_of(turn).announce(priced))
    answer = answers.add_warnings(answers.ping(endpoint, world.keys, priced), warnings)
    return answer if failures is None else answers.add_reasons(answer, failures)


@pricing.store_unmatched
def post(world: World, endpoint: Endpoint, request: Request) -> bytes:
    turn = intake.start_turn(world, endpoint, request)
    if not request.ping_id:
        return selling.sell_at_once(turn, "post", selling.write_post)
    turn = dataclasses.replace(turn, world=world.with_newest_keys(endpoint, request.ping_id))
    ping_id, choice = intake.read_ping_id(turn)
    posted, unread, problems = intake.read_posted(turn)
    with attempts.claimed(turn, ping_id, posted) as taken:
        ping, now = taken.ping, turn.world.now
        if taken.claim.sale:
            return attempts.answer_again(ping, taken.claim.sale, posted, choice, now())
        if taken.claim.state is State.EXPIRED:
            raise PingIdExpired
        if earlier := attempts.answer_under_key(turn, taken, posted, unread):
            return earlier
        turn = dataclasses.replace(turn, endpoint=turn.world.compiled.at_least_as_new_as(ping, endpoint, now()))
        posted, rest = fields.keep(turn.endpoint.fields, posted, ping.lead)
        lead, warnings = intake.check_lead(turn, Lead(ping.lead | posted), problems, ("post",), ping.lead.source)
        bidders = matching.bidders(turn.endpoint, ping.bids, choice)
        facts = replace(pricing.gather_facts(turn, lead, ping_id, bidders, {"posts"}), said=ping.facts.said)
        seller = ping.user or (turn.user.name if turn.user else "")
        terms = tracking.settle_terms(turn, taken.claim, taken.terms)
        sale = Selling(ping, taken.attempt, taken.claim, taken.seen, lead, posted, choice, facts, seller, terms)
        return selling.sell(turn, sale, selling.with_warnings(selling.write_post, warnings | fields.not_kept(rest)))


@pricing.store_unmatched
def full(world: World, endpoint: Endpoint, request: Request) -> bytes:
    turn = intake.start_turn(world, endpoint, request)
    return selling.sell_at_once(turn, "full", selling.full_writer(turn))
