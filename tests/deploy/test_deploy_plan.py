"""What is said before a command of the CDK, of an account as it is."""

import copy

import pytest

from infra import plan
from tests.deploy.account import Account, Failed, Template


@pytest.fixture(autouse=True)
def _credentials(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for name, value in account.emulator.environment.items():
        monkeypatch.setenv(name, value)


def refusal(*arguments: str) -> str:
    with pytest.raises(SystemExit) as refused:
        plan.main(*arguments)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def said(capsys: pytest.CaptureFixture[str], verb: str, stage: str = "dev") -> str:
    plan.main(verb, stage, "", "")
    return capsys.readouterr().out


def test_an_empty_account(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "bootstrap").startswith("Making account 000000000000, region us-east-1 ready")
    assert said(capsys, "deploy").startswith("Creating ringpost-dev in account 000000000000, region us-east-1: ")
    assert refusal("destroy", "dev", "", "").startswith("There is no ringpost-dev in account 000000000000")
    assert "eu-west-1 is not ready for the CDK" in refusal("deploy", "dev", "", "eu-west-1")
    assert "are for account 000000000000, and not for 1111" in refusal("deploy", "dev", "111122223333", "")


@pytest.mark.usefixtures("stack")
def test_a_stack_that_exists(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "deploy").startswith("Updating ringpost-dev in account 000000000000")
    assert said(capsys, "destroy").startswith("Destroying ringpost-dev in account 000000000000")


def test_a_stack_of_somebody_else(account: Account) -> None:
    theirs = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {"Url": {"Value": "https://theirs.example.com"}},
    }
    with account.create("ringpost-dev", theirs):
        for verb in ("deploy", "destroy"):
            assert "ringpost-dev in account 000000000000, region us-east-1 is not Ringpost's" in refusal(
                verb, "dev", "", ""
            )


BROKEN = {"Type": "AWS::Lambda::Url", "Properties": {"TargetFunctionArn": "nobody", "AuthType": "NONE"}}


def test_a_first_deployment_that_failed_can_be_tried_again(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Failed, match="ROLLBACK_COMPLETE"):
        account.create("ringpost-dev", {"Resources": {"Broken": BROKEN}})
    assert said(capsys, "deploy").startswith("Creating ringpost-dev")
    account.cloudformation.update_termination_protection(StackName="ringpost-dev", EnableTerminationProtection=True)
    assert "was never created to its end, and is protected" in refusal("deploy", "dev", "", "")
    account.cloudformation.update_termination_protection(StackName="ringpost-dev", EnableTerminationProtection=False)
    account.cloudformation.delete_stack(StackName="ringpost-dev")


def test_a_first_deployment_that_failed_leaves_nothing(account: Account, templates: dict[str, Template]) -> None:
    template = copy.deepcopy(templates["dev"])
    template["Resources"]["Broken"] = BROKEN | {"DependsOn": [*template["Resources"]]}
    with pytest.raises(Failed, match="ROLLBACK_COMPLETE"):
        account.create("ringpost-first", template)
    assert account.left() <= {"bucket", "secret"}  # those of other stacks
    secrets = account.emulator.client("secretsmanager").list_secrets()["SecretList"]
    buckets = account.emulator.client("s3").list_buckets()["Buckets"]
    assert not [each["Name"] for each in (*secrets, *buckets) if "ringpost-first" in each["Name"]]


def test_without_credentials_or_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert refusal("deploy", "dev", "", "").startswith(
        "AWS did not say how ringpost-dev stands in us-east-1: Could not"
    )
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert refusal("deploy", "dev", "", "").endswith("Unable to locate credentials")
