"""Give me the number."""

from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shared import flows, runtime
from shared.http import front
from shared.publishers import webhooks

runtime.prepare()


@front.guard_handler(runtime.origin_secrets)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = runtime.world()
    return webhooks.serve(event, context.aws_request_id, "post", world.endpoint, partial(flows.post, world))
