"""Ping and post in one request. Also answers every path that no other function has: it may do what all verbs need, and
an address with doubled slashes comes here."""

from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shared import flows, runtime
from shared.http import front
from shared.publishers import requests, webhooks

FLOWS = {"ping": flows.ping, "post": flows.post, "full": flows.full}

runtime.prepare()


@front.guard_handler(runtime.origin_secrets)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    if requests.verb(event) is None and (elsewhere := webhooks.redirect(event)):
        return elsewhere
    world, verb = runtime.world(), requests.verb(event) or "ping"
    return webhooks.serve(event, context.aws_request_id, verb, world.endpoint, partial(FLOWS[verb], world))
