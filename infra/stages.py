"""The stages as data: everything in which one deployment may differ from another."""

import re
from dataclasses import dataclass

from aws_cdk import Environment, RemovalPolicy
from aws_cdk.aws_logs import RetentionDays
from aws_cdk.region_info import RegionInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """What API Gateway lets through on a route; what is above gets its own 429, not ours."""

    requests_per_second: int
    burst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A name of the operator's own for the API, and a certificate for it in the stack's region."""

    name: str
    certificate_arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """`removal_policy` says what becomes of tables, logs and older versions when the stack, or they themselves, are
    deleted.

    `throttle` is for each of the three verbs, `throttle_operators` for the operators' API, `throttle_elsewhere` for
    every other path. `second_factor` asks whoever signs in with a password for an authenticator app, too.
    `alarm_addresses` get a letter from AWS first, and alarms only once they have said yes to it. `snap_start` restores
    functions from a snapshot instead of starting them: it has a price of its own, see DECISIONS.md. `memory_mb` buys
    CPU too: `make costs` reckons a million at 512, most of it fees that memory does not change.
    """

    name: str
    deletion_protection: bool
    removal_policy: RemovalPolicy
    log_retention: RetentionDays
    throttle: Throttle
    throttle_operators: Throttle
    throttle_elsewhere: Throttle
    second_factor: bool
    alarm_addresses: tuple[str, ...] = ()
    domain: Domain | None = None
    memory_mb: int = 512
    snap_start: bool = False


STAGES = {
    stage.name: stage
    for stage in (
        Stage(
            name="dev",
            deletion_protection=False,
            removal_policy=RemovalPolicy.DESTROY,
            log_retention=RetentionDays.ONE_WEEK,
            throttle=Throttle(requests_per_second=50, burst=50),
            throttle_operators=Throttle(requests_per_second=20, burst=20),
            throttle_elsewhere=Throttle(requests_per_second=5, burst=5),
            second_factor=False,
        ),
        Stage(
            name="prod",
            deletion_protection=True,
            removal_policy=RemovalPolicy.RETAIN,
            log_retention=RetentionDays.THREE_MONTHS,
            throttle=Throttle(requests_per_second=1000, burst=1000),
            throttle_operators=Throttle(requests_per_second=50, burst=100),
            throttle_elsewhere=Throttle(requests_per_second=50, burst=50),
            second_factor=True,
        ),
    )
}


class NoSuchPlace(Exception):
    """There is no such stage, account or region; the message says which, in one sentence."""


def stage(name: object) -> Stage:
    """Raises `NoSuchPlace`."""
    if name not in STAGES:
        raise NoSuchPlace(f"There is no stage {name!r}; infra/stages.py has {', '.join(STAGES)}")
    return STAGES[str(name)]


def environment(account: str | None, region: str | None) -> Environment:
    """Where the stack lives. Without an account or a region it is the one of the credentials with which it is deployed.

    Raises `NoSuchPlace`.
    """
    if account and not re.fullmatch(r"\d{12}", account):
        raise NoSuchPlace(f"{account!r} is no AWS account: its number has 12 digits")
    if region and region not in {each.name for each in RegionInfo.regions}:
        raise NoSuchPlace(f"There is no AWS region {region!r}")
    return Environment(account=account or None, region=region or None)
