"""The posting instructions: what a publisher's developer reads. And the first page."""

from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.instructions import guide_pages
from shared import runtime
from shared.http import front
from shared.publishers import web_pages

runtime.prepare()


@front.guard_handler(runtime.origin_secrets)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    page = partial(guide_pages.answer, runtime.world())
    return web_pages.serve(event, context.aws_request_id, "instructions", page)
