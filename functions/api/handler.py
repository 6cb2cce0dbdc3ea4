"""The operators' API: everything below /api/v1 that is no webhook of publishers."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.api.operations import OPERATIONS
from shared import runtime
from shared.edge import api
from shared.operators import access


def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return api.serve(event, context.aws_request_id, OPERATIONS, runtime.desk(), access.admitted, access.check_role)
