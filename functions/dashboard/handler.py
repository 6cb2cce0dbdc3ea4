"""The dashboard: where an operator configures, watches and explains."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.dashboard.views import VIEWS
from shared import runtime
from shared.edge import desk
from shared.operators.desk import known


def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = runtime.visited_desk()
    elsewhere = world.cognito.url if world.cognito else ""
    return desk.serve(event, context.aws_request_id, VIEWS, world, world.records.keys, known, elsewhere)
