"""Who wants this call, and for how much? Also answers every path that no function has."""

from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shared import flows, runtime
from shared.edge import http

runtime.prepare()


def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = runtime.world()
    return http.serve(event, context.aws_request_id, "ping", world.endpoint, partial(flows.ping, world))
