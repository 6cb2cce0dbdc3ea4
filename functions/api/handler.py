"""The operators' API: everything below /api/v1 that is no webhook of publishers."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.api.operations import OPERATIONS
from shared import runtime
from shared.http import front
from shared.office import rest
from shared.operators import access
from shared.publishers import webhooks
from shared.runtime.office import open_office


@front.guard_handler(runtime.origin_secrets)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    if redirect := webhooks.redirect(event):
        return redirect
    return rest.serve(event, context.aws_request_id, OPERATIONS, open_office(), access.admit_user)
