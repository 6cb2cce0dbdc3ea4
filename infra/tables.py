"""The tables. They differ in lifetime and in who may write them."""

from aws_cdk import RemovalPolicy
from aws_cdk.aws_dynamodb import (
    Attribute,
    AttributeType,
    BillingMode,
    PointInTimeRecoverySpecification,
    Table,
    TableEncryption,
)
from constructs import Construct

BY_PK = Attribute(name="pk", type=AttributeType.STRING)
BY_SK = Attribute(name="sk", type=AttributeType.STRING)
BY_CALLER = Attribute(name="caller", type=AttributeType.BINARY)
BY_PING = Attribute(name="ping_id", type=AttributeType.BINARY)


class Tables(Construct):
    """`config` and `leases` stay, and of `callers` what is suppressed; the rest goes some time after it has expired."""

    def __init__(
        self, scope: Construct, construct_id: str, *, deletion_protection: bool, removal_policy: RemovalPolicy
    ) -> None:
        super().__init__(scope, construct_id)

        def table(name: str, *, key: Attribute, sort: Attribute | None = None, ttl: str | None = None) -> Table:
            return Table(
                self,
                name,
                partition_key=key,
                sort_key=sort,
                time_to_live_attribute=ttl,
                billing_mode=BillingMode.PAY_PER_REQUEST,
                encryption=TableEncryption.AWS_MANAGED,
                point_in_time_recovery_specification=PointInTimeRecoverySpecification(
                    point_in_time_recovery_enabled=True
                ),
                deletion_protection=deletion_protection,
                removal_policy=removal_policy,
            )

        self.config = table("Config", key=BY_PK, sort=BY_SK)
        self.pings = table("Pings", key=BY_PING, ttl="delete_at")
        self.leases = table("Leases", key=BY_PK, sort=BY_SK)
        self.callers = table("Callers", key=BY_CALLER, ttl="delete_at")
