"""The HTTP API in front of the functions."""

import json
from collections.abc import Mapping

from aws_cdk import Acknowledgment, RemovalPolicy, Validations
from aws_cdk.aws_apigatewayv2 import (
    CfnApiMapping,
    CfnStage,
    DomainName,
    HttpApi,
    HttpMethod,
    HttpRoute,
    HttpRouteKey,
)
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from aws_cdk.aws_certificatemanager import Certificate
from aws_cdk.aws_lambda import IFunction
from aws_cdk.aws_logs import LogGroup, RetentionDays
from constructs import Construct

from infra.stages import Domain, Throttle
from shared.functions import FALLBACK, FUNCTIONS, Traffic

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
    """What publishers and operators call. First there are its addresses, which the functions may be told; then `lead`
    gives it the functions.

    `url` is where it is, `urls` wherever it is: with a domain, whose DNS entry has to lead to `domain_target`, also at
    the name that AWS gave.
    """

    def __init__(self, scope: Construct, construct_id: str, *, name: str, domain: Domain | None) -> None:
        super().__init__(scope, construct_id)
        self._http = HttpApi(self, "Http", api_name=name, create_default_stage=False)
        self._named: DomainName | None = None
        self.id = self._http.api_id
        self.urls = [self._http.api_endpoint]
        self.domain_target: str | None = None
        if domain:
            certificate = Certificate.from_certificate_arn(self, "Certificate", domain.certificate_arn)
            self._named = DomainName(self, "Domain", domain_name=domain.name, certificate=certificate)
            self.urls.insert(0, f"https://{domain.name}")
            self.domain_target = self._named.regional_domain_name
        self.url = self.urls[0]

    def add_routes(
        self,
        *,
        functions: Mapping[str, IFunction],
        throttles: Mapping[Traffic, Throttle],
        log_retention: RetentionDays,
        removal_policy: RemovalPolicy,
    ) -> LogGroup:
        """Any method on any path of a route goes to its function; all the rest goes to `FALLBACK`.

        So 404 and 405 are ours, and a trailing slash is no other route. No CORS here: it would replace the headers with
        which the functions answer. Returns the access log.
        """
        made: list[HttpRoute] = []
        settings: dict[str, dict[str, int]] = {}
        for name, route in ((name, route) for name, function in FUNCTIONS.items() for route in function.routes):
            below = [f"{route.prefix}/{{path+}}"] if route.below else []
            for path in (*below, *([route.prefix] if route.itself else [])):
                integration = HttpLambdaIntegration("Function", functions[name])
                made += self._http.add_routes(path=path, methods=[HttpMethod.ANY], integration=integration)
                settings[f"ANY {path}"] = _settings(throttles[route.traffic])
        default = HttpLambdaIntegration("Function", functions[FALLBACK])
        HttpRoute(self, "Default", http_api=self._http, route_key=HttpRouteKey.DEFAULT, integration=default)
        log = LogGroup(self, "AccessLog", retention=log_retention, removal_policy=removal_policy)
        stage = self._add_stage(settings, throttles["elsewhere"], log)
        for each in made:  # a stage with settings for a route that is not there yet is refused
            stage.node.add_dependency(each)
        if self._named:
            CfnApiMapping(self, "Mapping", api_id=self.id, domain_name=self._named.name, stage=stage.ref)
        Validations.of(self).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-APIG4",
                reason="Publishers have no AWS identity; the functions check the token where an endpoint wants one.",
            )
        )
        return log

    def _add_stage(self, settings: dict[str, dict[str, int]], elsewhere: Throttle, log: LogGroup) -> CfnStage:
        """`settings` are those of single routes."""
        # Not HttpStage: its access log settings cannot be given from Python.
        return CfnStage(
            self,
            "Stage",
            api_id=self.id,
            stage_name="$default",  # any other would become part of the path
            auto_deploy=True,
            default_route_settings=CfnStage.RouteSettingsProperty(
                throttling_rate_limit=elsewhere.requests_per_second,
                throttling_burst_limit=elsewhere.burst,
            ),
            route_settings=settings,
            access_log_settings=CfnStage.AccessLogSettingsProperty(
                destination_arn=log.log_group_arn, format=json.dumps(ACCESS_LOG)
            ),
        )


def _settings(throttle: Throttle) -> dict[str, int]:
    """In CloudFormation's own spelling: the CDK hands settings of single routes over as they are."""
    return {"ThrottlingRateLimit": throttle.requests_per_second, "ThrottlingBurstLimit": throttle.burst}
