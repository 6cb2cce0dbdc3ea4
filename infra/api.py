"""The HTTP API in front of the functions."""

import json

from aws_cdk import Acknowledgment, RemovalPolicy, Validations
from aws_cdk.aws_apigatewayv2 import CfnStage, HttpApi, HttpMethod
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from aws_cdk.aws_lambda import IFunction
from aws_cdk.aws_logs import LogGroup, RetentionDays
from constructs import Construct

# No query string, address or user agent: a publisher's page may call from the browser of the very lead.
ACCESS_LOG = {
    "requestId": "$context.requestId",
    "time": "$context.requestTimeEpoch",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "route": "$context.routeKey",
    "status": "$context.status",
    "milliseconds": "$context.responseLatency",
    "integrationStatus": "$context.integrationStatus",
    "integrationMilliseconds": "$context.integrationLatency",
    "error": "$context.error.message",
    "integrationError": "$context.integrationErrorMessage",
}


class Api(Construct):
    """Any method on any path below a prefix goes to one function; all the rest goes to `fallback`.

    So 404 and 405 are ours, and a trailing slash is no other route. No CORS here: it would replace the headers with
    which the functions answer.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        routes: dict[str, IFunction],
        fallback: IFunction,
        requests_per_second: int,
        burst: int,
        log_retention: RetentionDays,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(scope, construct_id)
        api = HttpApi(
            self,
            "Http",
            api_name=name,
            create_default_stage=False,
            default_integration=HttpLambdaIntegration("Function", fallback),
        )
        for prefix, function in routes.items():
            api.add_routes(
                path=f"{prefix}/{{path+}}",
                methods=[HttpMethod.ANY],
                integration=HttpLambdaIntegration("Function", function),
            )
        log = LogGroup(self, "AccessLog", retention=log_retention, removal_policy=removal_policy)
        # Not HttpStage: its access log settings cannot be given from Python.
        CfnStage(
            self,
            "Stage",
            api_id=api.api_id,
            stage_name="$default",  # any other would become part of the path
            auto_deploy=True,
            default_route_settings=CfnStage.RouteSettingsProperty(
                throttling_rate_limit=requests_per_second, throttling_burst_limit=burst
            ),
            access_log_settings=CfnStage.AccessLogSettingsProperty(
                destination_arn=log.log_group_arn, format=json.dumps(ACCESS_LOG)
            ),
        )
        self.url = api.api_endpoint
        Validations.of(self).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-APIG4",
                reason="Publishers have no AWS identity; the functions check the token where an endpoint wants one.",
            )
        )
