"""The posting instructions: what a publisher's developer reads."""

from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shared import instructions, runtime
from shared.edge import pages

runtime.prepare()


def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    page = partial(instructions.answer, runtime.world())
    return pages.serve(event, context.aws_request_id, "instructions", page)
