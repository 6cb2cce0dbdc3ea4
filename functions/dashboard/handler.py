"""The dashboard: where an operator configures, watches and explains."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.dashboard.views import VIEWS
from shared import runtime
from shared.http import front
from shared.office import dashboard
from shared.office.visitors import visitor_of
from shared.runtime.office import open_visited_office


@front.guard_handler(runtime.origin_secrets)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = open_visited_office()
    elsewhere = world.cognito.url if world.cognito else ""
    return dashboard.serve(event, context.aws_request_id, VIEWS, world, world.records.keys, visitor_of, elsewhere)
