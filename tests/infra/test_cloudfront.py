"""A stage with CloudFront and its firewall in front."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Environment, Validations
from aws_cdk.assertions import Template
from cdk_nag import AwsSolutionsChecks

from infra import bundle, cloudfront
from infra.stack import Ringpost
from infra.stages import STAGES, CloudFront, Domain
from shared.settings import HOST, ORIGIN, VIEWER
from tests.infra import test_template
from tests.infra.conftest import ROOT, Synthesise
from tests.infra.test_template import FUNCTIONS, UNASKED, grants, properties, written
from tests.reference import tables

DEV = STAGES["dev"]
CERTIFICATE = "arn:aws:acm:us-east-1:111122223333:certificate/1"
ACL = "arn:aws:wafv2:us-east-1:111122223333:global/webacl/ringpost/0a1b"


@pytest.fixture(scope="module")
def fronted(synthesise: Synthesise) -> Template:
    """While its secret is being rotated."""
    return synthesise(replace(DEV, cloudfront=CloudFront(origin_secrets=(1, 2))))


def distribution(template: Template) -> dict[str, Any]:
    (found,) = properties(template, "AWS::CloudFront::Distribution").values()
    config: dict[str, Any] = found["DistributionConfig"]
    return config


def test_no_stage_has_it_unless_it_is_asked(template: Template) -> None:
    template.resource_count_is("AWS::CloudFront::Distribution", 0)
    template.resource_count_is("AWS::WAFv2::WebACL", 0)


def test_the_distribution_leads_to_the_api_and_keeps_nothing(fronted: Template) -> None:
    config = distribution(fronted)
    [origin] = config["Origins"]
    assert written(origin["DomainName"]) == "ApiHttp.execute-api.AWS::Region.AWS::URLSuffix"
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    behavior = config["DefaultCacheBehavior"]
    assert set(behavior["AllowedMethods"]) == {"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"}
    assert behavior["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # AWS's CachingDisabled
    assert behavior["OriginRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac"  # all but the host
    assert behavior["ViewerProtocolPolicy"] == "https-only"
    assert "CacheBehaviors" not in config
    errors = {each["ErrorCode"]: each["ErrorCachingMinTTL"] for each in config["CustomErrorResponses"]}
    assert errors == dict.fromkeys(cloudfront.KEPT_BY_CLOUDFRONT, 0)


def test_the_visitor_and_the_host_are_told_in_headers_that_are_overwritten(fronted: Template) -> None:
    [association] = distribution(fronted)["DefaultCacheBehavior"]["FunctionAssociations"]
    assert association["EventType"] == "viewer-request"
    (function,) = properties(fronted, "AWS::CloudFront::Function").values()
    code = function["FunctionCode"]
    assert f"headers['{VIEWER}'] = {{ value: event.viewer.ip }}" in code
    assert f"headers['{HOST}'] = {{ value: headers.host.value }}" in code


def test_cloudfront_sends_the_first_secret_and_the_functions_take_each(fronted: Template) -> None:
    [header] = distribution(fronted)["Origins"][0]["OriginCustomHeaders"]
    assert header["HeaderName"] == ORIGIN
    assert re.fullmatch(
        r"\{\{resolve:secretsmanager:FrontOriginSecret1:SecretString:::\}\}", written(header["HeaderValue"])
    )
    for name, function in properties(fronted, "AWS::Lambda::Function").items():
        variables = function["Environment"]["Variables"]
        assert written(variables["RINGPOST_ORIGIN_SECRET_ARNS"]) == "FrontOriginSecret1,FrontOriginSecret2", name
    for name in {*FUNCTIONS} - {*UNASKED}:
        granted = grants(fronted)[f"Functions{name}Role"]
        for number in (1, 2):
            assert granted[f"FrontOriginSecret{number}"] == {"secretsmanager:GetSecretValue"}
    for name in UNASKED:
        assert not [granted for granted in grants(fronted)[f"Functions{name}Role"] if "Origin" in granted]


def test_one_address_may_send_so_much_a_minute(fronted: Template) -> None:
    (acl,) = properties(fronted, "AWS::WAFv2::WebACL").values()
    assert (acl["Scope"], acl["DefaultAction"]) == ("CLOUDFRONT", {"Allow": {}})
    verbs, others = (rule["Statement"]["RateBasedStatement"] for rule in acl["Rules"])
    for rate, a_minute in ((verbs, 6000), (others, 600)):
        assert (rate["AggregateKeyType"], rate["EvaluationWindowSec"], rate["Limit"]) == ("IP", 60, a_minute)
    assert others["ScopeDownStatement"] == {"NotStatement": {"Statement": verbs["ScopeDownStatement"]}}
    pattern = verbs["ScopeDownStatement"]["RegexMatchStatement"]["RegexString"]
    for path, is_a_verb in {
        "/api/v1/inbound_webhooks/ping/my_endpoint": True,
        "//api/v1/inbound_webhooks/full/my_endpoint": True,
        "/calls/main/voice": True,
        "/sandbox/api/v1/inbound_webhooks/ping/my_endpoint": False,
        "/api/v1/buyers": False,
        "/dashboard": False,
    }.items():
        assert bool(re.search(pattern, path)) == is_a_verb, path
    for rule in acl["Rules"]:
        answer = rule["Action"]["Block"]["CustomResponse"]
        assert (answer["ResponseCode"], answer["ResponseHeaders"]) == (429, [{"Name": "Retry-After", "Value": "60"}])
        body = json.loads(acl["CustomResponseBodies"][answer["CustomResponseBodyKey"]]["Content"])
        assert (body["success"], body["status"]) == (False, "rate_limited")
    for each in (acl, *acl["Rules"]):
        assert each["VisibilityConfig"]["SampledRequestsEnabled"] is False
    assert written(distribution(fronted)["WebACLId"]) == "FrontFirewall.Arn"


def test_what_the_firewall_blocks_is_an_alarm(fronted: Template) -> None:
    alarm = properties(fronted, "AWS::CloudWatch::Alarm")["OperationsBlocked"]
    (acl,) = properties(fronted, "AWS::WAFv2::WebACL").values()
    dimensions = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
    assert dimensions == {"WebACL": acl["VisibilityConfig"]["MetricName"], "Rule": "ALL"}
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/WAFV2", "BlockedRequests")


def test_one_signs_in_and_calls_through_cloudfront_alone(fronted: Template) -> None:
    outputs = fronted.find_outputs("*")
    assert written(outputs["Url"]["Value"]) == "https://FrontDistribution.DomainName"
    (client,) = properties(fronted, "AWS::Cognito::UserPoolClient").values()
    assert [written(url) for url in client["CallbackURLs"]] == [
        "https://FrontDistribution.DomainName/dashboard/signed_in"
    ]


def test_with_a_domain_it_has_its_name_and_certificate(synthesise: Synthesise) -> None:
    domain = Domain(name="calls.example.com", certificate_arn=CERTIFICATE)
    template = synthesise(replace(DEV, cloudfront=CloudFront(), domain=domain))
    config = distribution(template)
    assert config["Aliases"] == ["calls.example.com"]
    assert config["ViewerCertificate"]["AcmCertificateArn"] == CERTIFICATE
    assert config["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.2_2021"
    template.resource_count_is("AWS::ApiGatewayV2::DomainName", 0)
    outputs = template.find_outputs("*")
    assert outputs["Url"]["Value"] == "https://calls.example.com"
    assert written(outputs["DomainTarget"]["Value"]) == "FrontDistribution.DomainName"


def test_a_firewall_that_is_there_is_taken(synthesise: Synthesise) -> None:
    template = synthesise(replace(DEV, cloudfront=CloudFront(web_acl_arn=ACL)))
    template.resource_count_is("AWS::WAFv2::WebACL", 0)
    assert distribution(template)["WebACLId"] == ACL


def test_cfn_lint_finds_nothing_in_it(fronted: Template, tmp_path: Path) -> None:
    test_template.test_cfn_lint_finds_nothing(fronted, tmp_path)


def test_cdk_nag_finds_nothing_in_it_that_is_not_justified(tmp_path: Path) -> None:
    context = json.loads((ROOT / "cdk.json").read_text())["context"] | {"aws:cdk:bundling-stacks": []}
    app = App(context=context, outdir=str(tmp_path))
    stage = replace(DEV, cloudfront=CloudFront(origin_secrets=(1, 2)), reserve=True)
    Ringpost(app, "ringpost-dev", stage=stage, codes=bundle.codes(bundle.target()), env=Environment())
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()
    [report] = json.loads((tmp_path / "validation-report.json").read_text())["pluginReports"]
    assert (report["conclusion"], report["violations"]) == ("success", [])
    justified = {each["ruleName"] for each in report["suppressedViolations"]}
    assert {f"AwsSolutions-CFR{number}" for number in (1, 3, 4)} <= justified


def test_every_alarm_and_metric_of_the_access_log_is_in_the_reference(fronted: Template) -> None:
    [alarms] = tables("metrics.md", "Alarm")
    found = fronted.find_resources("AWS::CloudWatch::Alarm")
    assert {*alarms.by_name()} == {logical_id.removeprefix("Operations")[:-8] for logical_id in found}
    filters = fronted.find_resources("AWS::Logs::MetricFilter").values()
    made = {each["Properties"]["MetricTransformations"][0]["MetricName"] for each in filters}
    assert {*tables("metrics.md", "Metric")[1].by_name()} == made
