"""The stages as data: everything in which one deployment may differ from another."""

from dataclasses import dataclass

from aws_cdk import RemovalPolicy
from aws_cdk.aws_logs import RetentionDays


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """`removal_policy` says what becomes of tables and logs when the stack, or they themselves, are deleted.

    `requests_per_second` and `burst` are what API Gateway lets through; what is above gets its own 429, not ours.
    """

    name: str
    deletion_protection: bool
    removal_policy: RemovalPolicy
    log_retention: RetentionDays
    requests_per_second: int
    burst: int


STAGES = {
    stage.name: stage
    for stage in (
        Stage(
            name="dev",
            deletion_protection=False,
            removal_policy=RemovalPolicy.DESTROY,
            log_retention=RetentionDays.ONE_WEEK,
            requests_per_second=50,
            burst=50,
        ),
        Stage(
            name="prod",
            deletion_protection=True,
            removal_policy=RemovalPolicy.RETAIN,
            log_retention=RetentionDays.THREE_MONTHS,
            requests_per_second=1000,
            burst=1000,
        ),
    )
}
