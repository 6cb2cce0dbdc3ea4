"""The stages as data: everything in which one deployment may differ from another."""

import re
from collections.abc import Iterator, Mapping
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
    """A name of the operator's own for the API, and a certificate for it in the stack's region; with CloudFront in
    us-east-1."""

    name: str
    certificate_arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """The most read and write request units a second of a table, and of each index. DynamoDB throttles more."""

    reads: int
    writes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudFront:
    """CloudFront and a firewall (WAF) in front of the API, whose own address is then closed.

    One source address may send `verbs_a_minute` requests to the three verbs and as webhooks of calls, which come from a
    few addresses of a provider, and `others_a_minute` to all other paths;
    the firewall answers 429 to more. It is in us-east-1: a stack in another region names a firewall that is there, by
    `web_acl_arn`, which has limits of its own.

    `origin_secrets` are numbers of secrets. CloudFront sends the first with every request, the functions accept each.
    To rotate, deploy (1,), (1, 2), (2, 1) and (2,) one after the other.
    """

    verbs_a_minute: int = 6000
    others_a_minute: int = 600
    web_acl_arn: str = ""
    origin_secrets: tuple[int, ...] = (1,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """`removal_policy` says what becomes of tables, logs and older versions when the stack, or they themselves, are
    deleted.

    `throttle` is for each of the three verbs and for the webhooks of calls, `throttle_operators` for the operators'
    API, `throttle_elsewhere` for every other path. `second_factor` asks those who sign in with a password for an
    authenticator app, too.
    `alarm_addresses` get an e-mail from AWS first, and alarms only once they have said yes to it. `snap_start` restores
    functions from a snapshot instead of starting them: it has a price of its own, see docs/decisions/log.md.
    `memory_mb` buys CPU too: `make costs` counts a million at 512, most of it fees that memory does not change.
    Functions that read the journal's files have more, and no snapshots.

    `units` are the maxima of the tables, by the names of `UNITS_OF`. AWS sends an e-mail before and at
    `monthly_budget_dollars`, which counts what the whole account spends; 0 is no budget. `reserve` limits sandbox,
    instructions, API and dashboard to `shared.functions.RESERVED` processes each, and the function that comes every
    minute to one, so that they cannot take those of PING and POST.
    """

    name: str
    deletion_protection: bool
    removal_policy: RemovalPolicy
    log_retention: RetentionDays
    throttle: Throttle
    throttle_operators: Throttle
    throttle_elsewhere: Throttle
    units: Mapping[str, Units]
    monthly_budget_dollars: int
    second_factor: bool
    alarm_addresses: tuple[str, ...] = ()
    domain: Domain | None = None
    memory_mb: int = 512
    snap_start: bool = False
    reserve: bool = False
    cloudfront: CloudFront | None = None


UNITS_OF = ("config", "pings", "calls", "leases", "callers", "journal", "sandbox")
"""The last is for each of the sandbox's three tables."""


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
            units={
                "config": Units(reads=1000, writes=300),
                "pings": Units(reads=1000, writes=1000),
                "calls": Units(reads=500, writes=500),
                "leases": Units(reads=1000, writes=600),
                "callers": Units(reads=500, writes=500),
                "journal": Units(reads=500, writes=200),
                "sandbox": Units(reads=100, writes=100),
            },
            monthly_budget_dollars=50,
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
            units={
                "config": Units(reads=8000, writes=1000),
                "pings": Units(reads=10_000, writes=16_000),
                "calls": Units(reads=4000, writes=4000),
                "leases": Units(reads=20_000, writes=10_000),
                "callers": Units(reads=8000, writes=8000),
                "journal": Units(reads=2000, writes=2000),
                "sandbox": Units(reads=1000, writes=1000),
            },
            monthly_budget_dollars=1000,
            second_factor=True,
        ),
    )
}


class NoSuchPlace(Exception):
    """There is no such stage, account or region; the message says which, in one sentence."""


class BadStage(Exception):
    """A stage has an impossible value; the message says which, in one sentence."""


WEB_ACL = re.compile(r"arn:aws[\w-]*:wafv2:us-east-1:\d{12}:global/webacl/[\w-]+/[\w-]+")
FIREWALLS = "us-east-1"
"""The region of what CloudFront uses."""


def stage(name: object) -> Stage:
    """Raises `NoSuchPlace` and `BadStage`."""
    if name not in STAGES:
        raise NoSuchPlace(f"There is no stage {name!r}; infra/stages.py has {', '.join(STAGES)}")
    return check_stage(STAGES[str(name)])


def check_stage(stage: Stage) -> Stage:
    """Raises `BadStage`."""
    for fault in _faults(stage):
        raise BadStage(f"infra/stages.py: the stage {stage.name!r} has {fault}.")
    return stage


def _faults(stage: Stage) -> Iterator[str]:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", stage.name):
        yield "a name that is not up to 20 small letters, digits and hyphens"
    for name in ("throttle", "throttle_operators", "throttle_elsewhere"):
        throttle: Throttle = getattr(stage, name)
        yield from _outside(f"{name}.requests_per_second", throttle.requests_per_second, 1, 10_000)
        yield from _outside(f"{name}.burst", throttle.burst, 1, 5000)
    if wrong := {*stage.units} ^ {*UNITS_OF}:
        yield f"units for other tables than {', '.join(UNITS_OF)}: {', '.join(sorted(map(str, wrong)))}"
    for name, units in stage.units.items():
        yield from _outside(f"units[{name!r}].reads", units.reads, 1, 40_000)
        yield from _outside(f"units[{name!r}].writes", units.writes, 1, 40_000)
    yield from _outside("monthly_budget_dollars", stage.monthly_budget_dollars, 0, 10**9)
    yield from _outside("memory_mb", stage.memory_mb, 128, 10_240)
    if not isinstance(stage.alarm_addresses, tuple):
        yield f"alarm_addresses {stage.alarm_addresses!r}, which is no tuple: write ('name@example.com',)"
    elif wrong_addresses := [each for each in stage.alarm_addresses if not re.fullmatch(r"[^@\s]+@[^@\s]+", str(each))]:
        yield f"alarm_addresses with {wrong_addresses[0]!r}, which is no e-mail address"
    for name in ("reserve", "snap_start", "deletion_protection", "second_factor"):
        if not isinstance(getattr(stage, name), bool):
            yield f"{name}={getattr(stage, name)!r}, which is neither True nor False"
    if stage.cloudfront:
        yield from _faults_in_front(stage.cloudfront, stage.domain)


def _faults_in_front(cloudfront: CloudFront, domain: Domain | None) -> Iterator[str]:
    yield from _outside("cloudfront.verbs_a_minute", cloudfront.verbs_a_minute, 10, 2 * 10**9)
    yield from _outside("cloudfront.others_a_minute", cloudfront.others_a_minute, 10, 2 * 10**9)
    if cloudfront.web_acl_arn and not WEB_ACL.fullmatch(cloudfront.web_acl_arn):
        yield f"cloudfront.web_acl_arn={cloudfront.web_acl_arn!r}, which is no web ACL for CloudFront in {FIREWALLS}"
    numbers = cloudfront.origin_secrets
    if not isinstance(numbers, tuple) or len({*numbers}) != len(numbers) or len(numbers) not in (1, 2):
        yield f"cloudfront.origin_secrets={numbers!r}, which are not one or two numbers, like (1,) or (1, 2)"
    else:
        for number in numbers:
            yield from _outside("a number in cloudfront.origin_secrets", number, 1, 10**6)
    if domain and f":{FIREWALLS}:" not in domain.certificate_arn:
        yield f"CloudFront and a certificate that is not in {FIREWALLS}, where CloudFront looks for it"


def _outside(name: str, number: object, least: int, most: int) -> Iterator[str]:
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
        yield f"{name}={number!r}, which is no whole number from {least} to {most}"


def check_region(stage: Stage, region: str) -> None:
    """Raises `BadStage` if the stage's firewall would be in a region where CloudFront does not find it."""
    if stage.cloudfront and not stage.cloudfront.web_acl_arn and region != FIREWALLS:
        raise BadStage(
            f"The stage {stage.name!r} has CloudFront, whose firewall has to be in {FIREWALLS}: deploy it with "
            f"REGION={FIREWALLS}, or name one that is there, as web_acl_arn in infra/stages.py."
        )


def environment(account: str | None, region: str | None) -> Environment:
    """Where the stack lives. Without an account or a region it is the one of the credentials with which it is deployed.

    Raises `NoSuchPlace`.
    """
    if account and not re.fullmatch(r"\d{12}", account):
        raise NoSuchPlace(f"{account!r} is no AWS account: its number has 12 digits")
    if region and region not in {each.name for each in RegionInfo.regions}:
        raise NoSuchPlace(f"There is no AWS region {region!r}")
    return Environment(account=account or None, region=region or None)
