"""The sandbox endpoints of all endpoints: PING, POST and FULL that touch nothing real."""

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
    world = runtime.world().of_sandbox()
    event, verb = requests.to_sandbox(event)
    return webhooks.serve(event, context.aws_request_id, verb, world.endpoint, partial(FLOWS[verb], world))
