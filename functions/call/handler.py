"""A number rings: what a provider of telephony says of a call, and what it is to do next."""

from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shared import runtime
from shared.flows.calls import answer_event
from shared.http import front
from shared.providers import exchange
from shared.publishers import metrics
from shared.runtime import calls

runtime.prepare()


@front.guard_handler(runtime.origin_secrets)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    answer = partial(answer_event, calls.telephony())
    refused = metrics.count_refused_webhook
    response = exchange.serve(event, context.aws_request_id, calls.find_provider, answer, refused)
    metrics.write_counts("call")
    return response
