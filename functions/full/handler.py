"""Ping and post in one request."""

from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shared import flows, runtime
from shared.edge import http

runtime.prepare()


def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = runtime.world()
    return http.serve(event, context.aws_request_id, "full", world.endpoint, partial(flows.full, world))
