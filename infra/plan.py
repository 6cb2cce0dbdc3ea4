"""`python -m infra.plan bootstrap|deploy|diff|destroy STAGE ACCOUNT REGION`: says what the command after it is about to
do, or in one sentence why it must not. An empty account or region is the one of the credentials."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import botocore.session
from aws_cdk import RemovalPolicy
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra import stages
from infra.region import NO_REGION, region_of_user
from infra.stages import Stage
from shared.functions import FUNCTIONS

BOOTSTRAPPED = "/cdk-bootstrap/hnb659fds/version"
"""The parameter that `cdk bootstrap` leaves, and that the template asks for."""
SDK = Config(connect_timeout=5, read_timeout=15, retries={"mode": "standard", "total_max_attempts": 2})
NEVER_CREATED = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
"""What is left of a first deployment that failed. The CDK deletes it before the next, unless it is protected."""


NEVER_RESERVED = 100
"""How many AWS keeps for functions without a reservation."""
FEW = 100
"""Below this limit a few PINGs a second to live buyers use up the account."""


class Refused(Exception):
    """It must not be done; the message says why, and what can be."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A stage's stack, in its place. `status` is CloudFormation's, empty where there is no such stack; `ours` says that
    it has what only a stack of ours has. `concurrency` is how many functions the account may run at once, 0 if it is
    not known, and `reservable` how many of these nobody has reserved yet."""

    name: str
    account: str
    region: str
    status: str
    protected: bool
    ours: bool
    bootstrapped: bool
    concurrency: int = 0
    reservable: int = 0

    def __str__(self) -> str:
        return f"{self.name} in account {self.account}, region {self.region}"


def bootstrap(_: Stage, stack: Standing) -> str:
    return f"Making account {stack.account}, region {stack.region} ready for the CDK: a bucket, roles, a version."


def deploy(stage: Stage, stack: Standing) -> str:
    """Raises `Refused`."""
    _check_ready(stage, stack)
    kept = "kept" if stage.removal_policy is RemovalPolicy.RETAIN else "deleted"
    alarms = ", ".join(stage.alarm_addresses) or "nobody: infra/stages.py has no address for it"
    return (
        f"{'Updating' if stack.ours else 'Creating'} {stack}: "
        "an HTTP API, functions, tables, secrets, a user pool, alarms.\n"
        f"When it is destroyed, its tables and logs are {kept}. Alarms tell {alarms}.\n"
        f"{_concurrency(stage, stack)}"
    )


def _concurrency(stage: Stage, stack: Standing) -> str:
    """Raises `Refused` where AWS would refuse what the stage reserves."""
    if not stack.concurrency:
        return "AWS did not say how many functions this account may run at once."
    wanted = sum(function.processes for function in FUNCTIONS.values())
    is_reserved = stack.ours and stack.concurrency - stack.reservable >= wanted
    if stage.reserve and not is_reserved and stack.reservable - wanted < NEVER_RESERVED:
        raise Refused(
            f"The stage {stage.name} reserves {wanted} functions at once, but account {stack.account} may run "
            f"{stack.concurrency}, and {NEVER_RESERVED} must not be reserved: ask AWS for more, or set reserve=False."
        )
    slow = (
        f"; with live buyers enough for some {stack.concurrency * 3 // 2} PINGs a second: ask AWS for more"
        if stack.concurrency < FEW
        else ""
    )
    return f"The account may run {stack.concurrency} functions at once{slow}."


def diff(stage: Stage, stack: Standing) -> str:
    """Raises `Refused`."""
    _check_ready(stage, stack)
    return f"What a deployment would change of {stack}:"


def destroy(stage: Stage, stack: Standing) -> str:
    """Raises `Refused`."""
    _check_ownership(stack)
    if not stack.status:
        raise Refused(f"There is no {stack}, and nothing was done.")
    if stage.deletion_protection or stack.protected:
        raise Refused(
            f"The stage {stage.name} is protected, and nothing was done. To remove it, set deletion_protection=False "
            f"for it in infra/stages.py, make deploy STAGE={stage.name}, then destroy it."
        )
    fate = (
        "The tables and logs stay, and cost what they hold"
        if stage.removal_policy is RemovalPolicy.RETAIN
        else "The tables are deleted with every offer, ping and lease, and the logs"
    )
    return f"Destroying {stack}. {fate}; the secret stays in any case."


PLANS: dict[str, Callable[[Stage, Standing], str]] = {
    "bootstrap": bootstrap,
    "deploy": deploy,
    "diff": diff,
    "destroy": destroy,
}


def _check_ownership(stack: Standing) -> None:
    """Raises `Refused` while somebody works on the stack, or where it is of another make."""
    if stack.status.endswith("_IN_PROGRESS") and stack.status != "REVIEW_IN_PROGRESS":
        raise Refused(f"{stack} is {stack.status}: wait until that is over.")
    if stack.status.endswith("_COMPLETE") and stack.status not in NEVER_CREATED and not stack.ours:
        raise Refused(f"{stack} is not Ringpost's, and nothing was done: it has no table of the configuration.")


def _check_ready(stage: Stage, stack: Standing) -> None:
    """Raises `Refused` where a deployment would fail half-way."""
    _check_ownership(stack)
    if not stack.bootstrapped:
        raise Refused(
            f"Account {stack.account}, region {stack.region} is not ready for the CDK: once, "
            f"make bootstrap STAGE={stage.name} with the same ACCOUNT and REGION."
        )
    if stack.status in NEVER_CREATED and stack.protected:
        raise Refused(
            f"{stack} was never created to its end, and is protected. First take the protection off: "
            f"aws cloudformation update-termination-protection --no-enable-termination-protection "
            f"--stack-name {stack.name} --region {stack.region}"
        )
    if stack.status == "UPDATE_ROLLBACK_FAILED":
        raise Refused(
            f"{stack} could not go back to what it was. First, once its events say that the cause is gone: "
            f"aws cloudformation continue-update-rollback --stack-name {stack.name} --region {stack.region}"
        )
    if stack.status in ("CREATE_FAILED", "DELETE_FAILED"):
        raise Refused(f"{stack} is {stack.status}. First, make destroy STAGE={stage.name}.")


def look_up_stack(name: str, account: str, region: str) -> Standing:
    """Raises `Refused` where AWS or the credentials do not say it."""
    session = botocore.session.get_session()
    if not (region := region or region_of_user()):  # the CDK would take one of its own
        raise Refused(NO_REGION)

    def client(service: str) -> Any:
        return session.create_client(service, region_name=region, config=SDK)

    try:
        own = client("sts").get_caller_identity()["Account"]
        if account not in ("", own):
            raise Refused(f"Your credentials are for account {own}, and not for {account}.")
        stack = _describe_stack(client("cloudformation"), name)
        bootstrapped = _has_parameter(client("ssm"))
        limit = _account_limit(client("lambda"))
    except (BotoCoreError, ClientError) as fault:
        raise Refused(f"AWS did not say how {name} stands in {region}: {fault}") from None
    return Standing(
        name,
        own,
        region,
        status=stack.get("StackStatus", ""),
        protected=stack.get("EnableTerminationProtection", False),
        ours=any(output["OutputKey"] == "ConfigTable" for output in stack.get("Outputs", [])),
        bootstrapped=bootstrapped,
        concurrency=limit.get("ConcurrentExecutions", 0),
        reservable=limit.get("UnreservedConcurrentExecutions", 0),
    )


def _account_limit(functions: Any) -> dict[str, int]:
    """The account's limits; empty if the credentials may not read them."""
    try:
        found: dict[str, int] = functions.get_account_settings()["AccountLimit"]
    except ClientError:
        return {}
    return found


def _describe_stack(cloudformation: Any, name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as fault:
        if "does not exist" in str(fault):
            return {}
        raise
    return found


def _has_parameter(ssm: Any) -> bool:
    try:
        ssm.get_parameter(Name=BOOTSTRAPPED)
    except ClientError as fault:
        if fault.response["Error"]["Code"] == "ParameterNotFound":
            return False
        raise
    return True


def main(verb: str, name: str, account: str, region: str) -> None:
    try:
        stage = stages.stage(name)
        stages.environment(account, region)
        stack = look_up_stack(f"ringpost-{stage.name}", account, region)
        if verb in ("deploy", "diff"):
            stages.check_region(stage, stack.region)
        said = PLANS[verb](stage, stack)
    except (stages.NoSuchPlace, stages.BadStage, Refused) as fault:
        raise SystemExit(str(fault)) from None
    sys.stdout.write(f"{said}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
