"""The HTTP API in front of the functions."""

import json
from collections.abc import Mapping
from typing import NamedTuple

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


class Route(NamedTuple):
    """Where requests go, and how many are let through. `itself` leads the prefix there too, not only what is below."""

    function: IFunction
    throttle: Throttle
    itself: bool = False


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

    def lead(
        self,
        *,
        routes: Mapping[str, Route],
        fallback: Route,
        log_retention: RetentionDays,
        removal_policy: RemovalPolicy,
    ) -> None:
        """Any method on any path below a prefix goes to one function; all the rest goes to `fallback`.

        So 404 and 405 are ours, and a trailing slash is no other route. No CORS here: it would replace the headers with
        which the functions answer.
        """
        made: list[HttpRoute] = []
        throttles: dict[str, dict[str, int]] = {}
        for prefix, route in routes.items():
            for path in (f"{prefix}/{{path+}}", *([prefix] if route.itself else [])):
                integration = HttpLambdaIntegration("Function", route.function)
                made += self._http.add_routes(path=path, methods=[HttpMethod.ANY], integration=integration)
                throttles[f"ANY {path}"] = _settings(route.throttle)
        default = HttpLambdaIntegration("Function", fallback.function)
        HttpRoute(self, "Default", http_api=self._http, route_key=HttpRouteKey.DEFAULT, integration=default)
        log = LogGroup(self, "AccessLog", retention=log_retention, removal_policy=removal_policy)
        # Not HttpStage: its access log settings cannot be given from Python.
        stage = CfnStage(
            self,
            "Stage",
            api_id=self.id,
            stage_name="$default",  # any other would become part of the path
            auto_deploy=True,
            default_route_settings=CfnStage.RouteSettingsProperty(
                throttling_rate_limit=fallback.throttle.requests_per_second,
                throttling_burst_limit=fallback.throttle.burst,
            ),
            route_settings=throttles,
            access_log_settings=CfnStage.AccessLogSettingsProperty(
                destination_arn=log.log_group_arn, format=json.dumps(ACCESS_LOG)
            ),
        )
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


def _settings(throttle: Throttle) -> dict[str, int]:
    """In CloudFormation's own spelling: the CDK hands settings of single routes over as they are."""
    return {"ThrottlingRateLimit": throttle.requests_per_second, "ThrottlingBurstLimit": throttle.burst}
