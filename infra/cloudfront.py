"""CloudFront and its firewall in front of the API, where the stage asks for them."""

import json
from collections.abc import Sequence

from aws_cdk import Acknowledgment, Duration, RemovalPolicy, Stack, Validations
from aws_cdk.aws_certificatemanager import Certificate
from aws_cdk.aws_cloudfront import (
    AllowedMethods,
    BehaviorOptions,
    CachePolicy,
    Distribution,
    ErrorResponse,
    FunctionAssociation,
    FunctionCode,
    FunctionEventType,
    FunctionRuntime,
    OriginProtocolPolicy,
    OriginRequestPolicy,
    SecurityPolicyProtocol,
    ViewerProtocolPolicy,
)
from aws_cdk.aws_cloudfront import Function as EdgeFunction
from aws_cdk.aws_cloudfront_origins import HttpOrigin
from aws_cdk.aws_secretsmanager import Secret, SecretStringGenerator
from aws_cdk.aws_wafv2 import CfnWebACL
from constructs import Construct

from infra.monitoring import VERBS
from infra.stages import CloudFront, Domain
from shared.settings import HOST, ORIGIN, VIEWER

VERB_PATH = f"^/+(api/+v1/+inbound_webhooks/+({'|'.join(VERBS)})|calls)/"
"""Of the three verbs, and of the webhooks of calls."""
KEPT_BY_CLOUDFRONT = (400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504)
"""Errors that CloudFront caches for ten seconds by default."""
A_MINUTE = 60
TOO_MANY = {"success": False, "status": "rate_limited", "errors": ["Too many requests. Try again later."], "buyers": []}

ADD_VIEWER = f"""
function handler(event) {{
  var headers = event.request.headers;
  headers['{VIEWER}'] = {{ value: event.viewer.ip }};
  headers['{HOST}'] = {{ value: headers.host.value }};
  return event.request;
}}
"""
"""API Gateway sees CloudFront's address and its own host name. So this function of CloudFront writes the visitor's
address and host into headers, over whatever the visitor sent in them."""


class Front(Construct):
    """CloudFront sends the first of `secrets` to the API; the functions accept each. `firewall` is the name of the
    firewall in its metrics, None if the firewall is not made here."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        api_id: str,
        cloudfront: CloudFront,
        domain: Domain | None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.secrets = [self._secret(number) for number in cloudfront.origin_secrets]
        self.firewall = None if cloudfront.web_acl_arn else f"{name}-firewall"
        web_acl = cloudfront.web_acl_arn or self._firewall(cloudfront, f"{name}-firewall")
        stack = Stack.of(self)
        distribution = Distribution(
            self,
            "Distribution",
            comment=name,
            domain_names=[domain.name] if domain else None,
            certificate=Certificate.from_certificate_arn(self, "Certificate", domain.certificate_arn)
            if domain
            else None,
            minimum_protocol_version=SecurityPolicyProtocol.TLS_V1_2_2021 if domain else None,
            web_acl_id=web_acl,
            default_behavior=BehaviorOptions(
                origin=HttpOrigin(
                    f"{api_id}.execute-api.{stack.region}.{stack.url_suffix}",
                    protocol_policy=OriginProtocolPolicy.HTTPS_ONLY,
                    custom_headers={ORIGIN: self.secrets[0].secret_value.unsafe_unwrap()},
                ),
                allowed_methods=AllowedMethods.ALLOW_ALL,
                cache_policy=CachePolicy.CACHING_DISABLED,
                origin_request_policy=OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
                viewer_protocol_policy=ViewerProtocolPolicy.HTTPS_ONLY,
                compress=False,
                function_associations=[
                    FunctionAssociation(
                        event_type=FunctionEventType.VIEWER_REQUEST,
                        function=EdgeFunction(
                            self,
                            "AddViewer",
                            code=FunctionCode.from_inline(ADD_VIEWER),
                            runtime=FunctionRuntime.JS_2_0,
                        ),
                    )
                ],
            ),
            error_responses=[ErrorResponse(http_status=code, ttl=Duration.seconds(0)) for code in KEPT_BY_CLOUDFRONT],
        )
        self.domain_target = distribution.distribution_domain_name if domain else None
        self.urls: Sequence[str] = [f"https://{domain.name if domain else distribution.distribution_domain_name}"]
        self.url = self.urls[0]
        _justify(distribution, domain)

    def _secret(self, number: int) -> Secret:
        secret = Secret(
            self,
            f"OriginSecret{number}",
            description="Proves to the functions that CloudFront has sent a request",
            generate_secret_string=SecretStringGenerator(password_length=64, exclude_punctuation=True),
            removal_policy=RemovalPolicy.DESTROY,
        )
        Validations.of(secret).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-SMG4", reason="It is rotated by deployments: infra/stages.py says how."
            )
        )
        return secret

    def _firewall(self, cloudfront: CloudFront, name: str) -> str:
        verbs = CfnWebACL.StatementProperty(
            regex_match_statement=CfnWebACL.RegexMatchStatementProperty(
                regex_string=VERB_PATH,
                field_to_match=CfnWebACL.FieldToMatchProperty(uri_path={}),
                text_transformations=[CfnWebACL.TextTransformationProperty(priority=0, type="NONE")],
            )
        )
        others = CfnWebACL.StatementProperty(not_statement=CfnWebACL.NotStatementProperty(statement=verbs))
        answers = {"too-many": CfnWebACL.CustomResponseBodyProperty(content=json.dumps(TOO_MANY, separators=(",", ":")),
                                                                    content_type="APPLICATION_JSON")}  # fmt: skip
        acl = CfnWebACL(
            self,
            "Firewall",
            scope="CLOUDFRONT",
            default_action=CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_visibility(name),
            custom_response_bodies=answers,
            rules=[
                _rate_rule(name, 0, "verbs", cloudfront.verbs_a_minute, verbs),
                _rate_rule(name, 1, "others", cloudfront.others_a_minute, others),
            ],
        )
        return acl.attr_arn


def _rate_rule(
    name: str, priority: int, what: str, a_minute: int, requests: CfnWebACL.StatementProperty
) -> CfnWebACL.RuleProperty:
    """One address may send so many of these requests; more get a 429 with the body of a limit of ours."""
    return CfnWebACL.RuleProperty(
        name=what,
        priority=priority,
        statement=CfnWebACL.StatementProperty(
            rate_based_statement=CfnWebACL.RateBasedStatementProperty(
                aggregate_key_type="IP", evaluation_window_sec=A_MINUTE, limit=a_minute, scope_down_statement=requests
            )
        ),
        action=CfnWebACL.RuleActionProperty(
            block=CfnWebACL.BlockActionProperty(
                custom_response=CfnWebACL.CustomResponseProperty(
                    response_code=429,
                    custom_response_body_key="too-many",
                    response_headers=[CfnWebACL.CustomHTTPHeaderProperty(name="Retry-After", value=str(A_MINUTE))],
                )
            )
        ),
        visibility_config=_visibility(f"{name}-{what}"),
    )


def _visibility(name: str) -> CfnWebACL.VisibilityConfigProperty:
    """A metric of this name; no samples of requests, which would show leads."""
    return CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False
    )


def _justify(distribution: Distribution, domain: Domain | None) -> None:
    Validations.of(distribution).acknowledge(
        Acknowledgment(id="AwsSolutions::AwsSolutions-CFR1", reason="Publishers may be anywhere."),
        Acknowledgment(
            id="AwsSolutions::AwsSolutions-CFR3",
            reason="CloudFront's log has addresses and whole queries, which are leads; API Gateway's has none of them.",
        ),
    )
    if not domain:
        Validations.of(distribution).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-CFR4",
                reason="CloudFront sets the oldest TLS of its own name; with a domain it is 1.2.",
            )
        )
