"""The tables of `shared.schema`. They differ in lifetime and in who may write them."""

from collections.abc import Mapping

from aws_cdk import RemovalPolicy
from aws_cdk.aws_dynamodb import (
    Attribute,
    AttributeType,
    BillingMode,
    PointInTimeRecoverySpecification,
    ProjectionType,
    StreamViewType,
    Table,
    TableEncryption,
)
from constructs import Construct

from infra.stages import Units
from shared import schema

TYPES = {"S": AttributeType.STRING, "B": AttributeType.BINARY, "N": AttributeType.NUMBER}


class Tables(Construct):
    """`config` and `leases` stay, and of `callers` what is suppressed; the rest goes some time after it has ended.
    The sandbox has tables of its own, so that it needs no grant on the others. `units` are the maxima of a second."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        units: Mapping[str, Units],
        deletion_protection: bool,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(scope, construct_id)

        def table(name: str, wanted: schema.Table, most: Units) -> Table:
            key, sort = _keys(wanted.keys)
            made = Table(
                self,
                name,
                partition_key=key,
                sort_key=sort,
                time_to_live_attribute=wanted.ttl or None,
                stream=StreamViewType.NEW_AND_OLD_IMAGES if wanted.stream else None,
                billing_mode=BillingMode.PAY_PER_REQUEST,
                max_read_request_units=most.reads,
                max_write_request_units=most.writes,
                encryption=TableEncryption.AWS_MANAGED,
                point_in_time_recovery_specification=PointInTimeRecoverySpecification(
                    point_in_time_recovery_enabled=True
                ),
                deletion_protection=deletion_protection,
                removal_policy=removal_policy,
            )
            for index_name, index in wanted.indexes.items():
                key, sort = _keys(index.keys)
                made.add_global_secondary_index(
                    index_name=index_name,
                    max_read_request_units=most.reads,
                    max_write_request_units=most.writes,
                    partition_key=key,
                    sort_key=sort,
                    projection_type=ProjectionType.KEYS_ONLY,
                )
            return made

        self.config = table("Config", schema.CONFIG, units["config"])
        self.pings = table("Pings", schema.PINGS, units["pings"])
        self.calls = table("Calls", schema.CALLS, units["calls"])
        self.leases = table("Leases", schema.LEASES, units["leases"])
        self.callers = table("Callers", schema.CALLERS, units["callers"])
        self.journal = table("Journal", schema.JOURNAL, units["journal"])
        self.sandbox_pings = table("SandboxPings", schema.SANDBOX_PINGS, units["sandbox"])
        self.sandbox_leases = table("SandboxLeases", schema.LEASES, units["sandbox"])
        self.sandbox_callers = table("SandboxCallers", schema.CALLERS, units["sandbox"])


def _keys(keys: schema.Keys) -> tuple[Attribute, Attribute | None]:
    attributes = [Attribute(name=name, type=TYPES[kind]) for name, kind in keys.items()]
    return attributes[0], attributes[1] if len(attributes) > 1 else None
