"""What is said before CloudFormation is asked for anything; tests/deploy looks at real stacks."""

from dataclasses import replace
from typing import Any

import pytest

from infra import plan
from infra.plan import Refused, Standing
from infra.stages import STAGES


def a_stack(**overrides: Any) -> Standing:
    values: dict[str, Any] = {
        "name": "ringpost-dev",
        "account": "111122223333",
        "region": "eu-west-1",
        "status": "UPDATE_COMPLETE",
        "protected": False,
        "ours": True,
        "bootstrapped": True,
    }
    return Standing(**values | overrides)


ABSENT = a_stack(status="", ours=False)
DEV, PROD = STAGES["dev"], STAGES["prod"]


def test_what_is_about_to_happen_is_said_with_its_place() -> None:
    assert plan.deploy(DEV, a_stack()).startswith("Updating ringpost-dev in account 111122223333, region eu-west-1: ")
    assert plan.deploy(DEV, ABSENT).startswith("Creating ringpost-dev in account 111122223333, region eu-west-1: ")
    assert "its tables and logs are deleted. Alarms tell nobody" in plan.deploy(DEV, ABSENT)
    assert "its tables and logs are kept." in plan.deploy(PROD, ABSENT)
    assert "The tables are deleted with every offer, ping and lease" in plan.destroy(DEV, a_stack())


@pytest.mark.parametrize(
    ("concurrency", "sentence"),
    [
        (1000, "The account may run 1000 functions at once."),
        (10, "The account may run 10 functions at once; with live buyers enough for some 15 PINGs a second: ask AWS "
             "for more."),
        (0, "AWS did not say how many functions this account may run at once."),
    ],
)  # fmt: skip
def test_how_many_functions_may_run_at_once_is_one_sentence(concurrency: int, sentence: str) -> None:
    said = plan.deploy(DEV, a_stack(concurrency=concurrency, reservable=concurrency))
    assert said.splitlines()[-1] == sentence


def test_a_reservation_that_aws_would_refuse_does_not_begin() -> None:
    reserving = replace(DEV, reserve=True)
    for concurrency in (10, 140):
        with pytest.raises(
            Refused, match=f"reserves 41 .* account 111122223333 may run {concurrency}, and 100 must not be"
        ):
            plan.deploy(reserving, a_stack(concurrency=concurrency, reservable=concurrency))
    assert plan.deploy(reserving, a_stack(concurrency=141, reservable=141, ours=False, status=""))
    assert plan.deploy(reserving, a_stack(concurrency=141, reservable=100))  # as the last deployment has left it


@pytest.mark.parametrize(
    "stack", [a_stack(status="ROLLBACK_COMPLETE", ours=False), a_stack(status="REVIEW_IN_PROGRESS")]
)
def test_what_the_cdk_mends_itself_is_left_to_it(stack: Standing) -> None:
    plan.deploy(DEV, stack)
    plan.destroy(DEV, stack)


@pytest.mark.parametrize("verb", ["deploy", "diff", "destroy"])
@pytest.mark.parametrize(
    ("stack", "sentence"),
    [
        (a_stack(status="UPDATE_IN_PROGRESS"), "is UPDATE_IN_PROGRESS: wait until that is over"),
        (a_stack(ours=False), "is not Ringpost's, and nothing was done"),
    ],
)
def test_a_stack_of_somebody_else_or_in_other_hands_is_not_touched(verb: str, stack: Standing, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        plan.PLANS[verb](DEV, stack)


@pytest.mark.parametrize(
    ("stack", "sentence"),
    [
        (a_stack(status="", bootstrapped=False), r"is not ready for the CDK: once, make bootstrap STAGE=dev"),
        (a_stack(status="ROLLBACK_COMPLETE", protected=True), r"--no-enable-termination-protection --stack-name "),
        (a_stack(status="UPDATE_ROLLBACK_FAILED"), r"continue-update-rollback --stack-name ringpost-dev --region eu-"),
        (a_stack(status="DELETE_FAILED"), r"is DELETE_FAILED\. First, make destroy STAGE=dev"),
    ],
)  # fmt: skip
def test_a_deployment_that_would_fail_half_way_does_not_begin(stack: Standing, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence) as refused:
        plan.deploy(DEV, stack)
    assert "\n" not in str(refused.value)


def test_a_protected_stage_is_not_destroyed() -> None:
    for stage, stack in ((PROD, a_stack(name="ringpost-prod")), (DEV, a_stack(protected=True))):
        with pytest.raises(Refused, match=f"The stage {stage.name} is protected, and nothing was done"):
            plan.destroy(stage, stack)


def test_what_is_not_there_is_not_destroyed() -> None:
    with pytest.raises(Refused, match=r"There is no ringpost-dev in account 111122223333, region eu-west-1"):
        plan.destroy(DEV, ABSENT)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("deploy", "nope", "", ""), "There is no stage 'nope'; infra/stages.py has dev, prod"),
        (("deploy", "dev", "1234", ""), "'1234' is no AWS account: its number has 12 digits"),
        (("destroy", "dev", "", "mars-1"), "There is no AWS region 'mars-1'"),
    ],
)
def test_a_place_that_is_not_there_is_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(SystemExit) as refused:
        plan.main(*arguments)
    assert str(refused.value) == sentence


def test_the_region_is_never_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(SystemExit, match="No region is named"):
        plan.main("deploy", "dev", "", "")
