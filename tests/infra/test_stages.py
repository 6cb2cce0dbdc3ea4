"""Stages are data: what cannot be is one sentence, and what they say is in the template."""

from dataclasses import replace
from typing import Any

import pytest

from infra import stages
from infra.stages import STAGES, BadStage, CloudFront, Domain, Stage, Throttle, Units
from shared.functions import RESERVED
from tests.infra.conftest import ROOT, Synthesise
from tests.infra.test_template import properties
from tools import costs

DEV, PROD = STAGES["dev"], STAGES["prod"]
HERE = "arn:aws:acm:eu-west-1:111122223333:certificate/1"
ACL = "arn:aws:wafv2:us-east-1:111122223333:global/webacl/ringpost/0a1b"


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_the_stages_are_sound(stage: Stage) -> None:
    assert stages.check_stage(stage) is stage


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"name": "Dev 1"}, "a name that is not up to 20 small letters, digits and hyphens"),
        ({"throttle": Throttle(requests_per_second=0, burst=5)}, "throttle.requests_per_second=0, which is no whole"),
        ({"throttle_elsewhere": Throttle(requests_per_second=5, burst=6000)}, "throttle_elsewhere.burst=6000, which"),
        ({"units": {"config": Units(reads=1, writes=1)}}, "units for other tables than config, pings, calls, leases"),
        ({"units": {**DEV.units, "ping": Units(reads=1, writes=1)}}, "journal, sandbox: ping"),
        ({"units": {**DEV.units, "pings": Units(reads=0, writes=1)}}, r"units\['pings'\]\.reads=0, which is no whole"),
        ({"units": {**DEV.units, "pings": Units(reads=1, writes=50_000)}}, "from 1 to 40000"),
        ({"monthly_budget_dollars": -1}, "monthly_budget_dollars=-1, which is no whole number from 0"),
        ({"monthly_budget_dollars": 49.5}, r"monthly_budget_dollars=49\.5"),
        ({"memory_mb": True}, "memory_mb=True, which is no whole number from 128 to 10240"),
        ({"alarm_addresses": ("name@example.com")}, "alarm_addresses 'name@example.com', which is no tuple"),
        ({"alarm_addresses": ("name",)}, "alarm_addresses with 'name', which is no e-mail address"),
        ({"reserve": "yes"}, "reserve='yes', which is neither True nor False"),
        ({"cloudfront": CloudFront(verbs_a_minute=5)}, "cloudfront.verbs_a_minute=5, which is no whole number from 10"),
        ({"cloudfront": CloudFront(origin_secrets=())}, r"origin_secrets=\(\), which are not one or two numbers"),
        ({"cloudfront": CloudFront(origin_secrets=(1, 1))}, r"origin_secrets=\(1, 1\), which are not one or two"),
        ({"cloudfront": CloudFront(origin_secrets=(1, 2, 3))}, "which are not one or two numbers"),
        ({"cloudfront": CloudFront(origin_secrets=(0,))}, "a number in cloudfront.origin_secrets=0"),
        ({"cloudfront": CloudFront(web_acl_arn=ACL.replace("us-east-1", "eu-west-1"))}, "which is no web ACL"),
        ({"cloudfront": CloudFront(), "domain": Domain(name="calls.example.com", certificate_arn=HERE)},
         "CloudFront and a certificate that is not in us-east-1"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_one_sentence_that_names_it(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadStage, match=sentence) as bad:
        stages.check_stage(replace(DEV, **wrong))
    assert str(bad.value).startswith(f"infra/stages.py: the stage {wrong.get('name', 'dev')!r} has ")
    assert "\n" not in str(bad.value)


def test_the_firewall_of_cloudfront_lives_in_one_region() -> None:
    fronted = replace(DEV, cloudfront=CloudFront())
    stages.check_region(DEV, "eu-west-1")
    stages.check_region(fronted, "us-east-1")
    stages.check_region(replace(DEV, cloudfront=CloudFront(web_acl_arn=ACL)), "eu-west-1")
    with pytest.raises(BadStage, match="whose firewall has to be in us-east-1: deploy it with REGION=us-east-1"):
        stages.check_region(fronted, "eu-west-1")


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_the_maxima_are_above_what_the_throttles_let_through(stage: Stage) -> None:
    ping, post = costs.UNITS["PING"][0], costs.UNITS["POST to a buyer with caps"][0]
    a_second = stage.throttle.requests_per_second
    assert stage.units["pings"].writes >= a_second * (ping + post + (ping + post))
    assert stage.units["leases"].writes >= a_second * 2 * 3


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_the_page_about_deploying_says_what_the_maxima_let_the_tables_cost(stage: Stage) -> None:
    said = f"`{stage.name}` at most {costs.most_an_hour(stage):.2f} dollars an hour"
    assert said in " ".join((ROOT / "docs" / "how-to" / "deploy.md").read_text().split())


@pytest.mark.parametrize("reserve", [True, False])
def test_a_stage_that_reserves_keeps_all_but_the_sellers_to_few_processes(
    synthesise: Synthesise, reserve: bool
) -> None:
    functions = properties(synthesise(replace(DEV, reserve=reserve)), "AWS::Lambda::Function")
    reserved = {name: each["ReservedConcurrentExecutions"] for name, each in functions.items() if
                "ReservedConcurrentExecutions" in each}  # fmt: skip
    limited = [f"Functions{name}" for name in ("Sandbox", "Instructions", "Api", "Dashboard")]
    assert reserved == (dict.fromkeys(limited, RESERVED) | {"FunctionsMinute": 1} if reserve else {})


def test_no_stage_reserves_unless_it_is_asked() -> None:
    assert not any(stage.reserve for stage in STAGES.values())
