"""The functions: those that sell, and those around them."""

from collections.abc import Mapping

from aws_cdk import Acknowledgment, Duration, RemovalPolicy, Validations
from aws_cdk.aws_iam import Role, ServicePrincipal
from aws_cdk.aws_lambda import (
    Alias,
    Architecture,
    Code,
    Function,
    Runtime,
    SnapStartConf,
    Tracing,
    VersionOptions,
)
from aws_cdk.aws_logs import LogGroup, RetentionDays
from constructs import Construct

from infra.bundle import Codes

# A claim on a ping may be taken over after 10 seconds; whoever made it must be dead by then.
TIMEOUT = Duration.seconds(9)
OFFICE_TIMEOUT = Duration.seconds(29)
"""Applying a configuration takes seconds; API Gateway waits for thirty."""
HOURLY_TIMEOUT = Duration.minutes(15)
LIVE = "live"
"""The alias that the API calls. It names a published version: what runs is what was deployed, whole, and going back is
to name an older one."""

NOTHING: Mapping[str, str] = {}
UNCOUNTED = {"POWERTOOLS_METRICS_DISABLED": "true"}
"""What happens there is no business: it may not be in the metrics that alarms go by."""


class Functions(Construct):
    """Alike but for their handler. Each has a role of its own, which may write its own log and traces and nothing else
    yet; each is seen by its live alias. `dashboard` is what the dashboard's environment has beside that of all."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        codes: Codes,
        runtime: Runtime,
        architecture: Architecture,
        memory_mb: int,
        snap_start: bool,
        service: str,
        environment: Mapping[str, str],
        dashboard: Mapping[str, str],
        log_retention: RetentionDays,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(scope, construct_id)

        def function(code: Code, name: str, own: Mapping[str, str] = NOTHING, timeout: Duration = TIMEOUT) -> Alias:
            log = LogGroup(self, f"{name}Log", retention=log_retention, removal_policy=removal_policy)
            # Without a role given, the CDK attaches a policy of AWS that may write every log of the account.
            role = Role(self, f"{name}Role", assumed_by=ServicePrincipal("lambda.amazonaws.com"))
            log.grant_write(role)
            made = Function(
                self,
                name,
                handler=f"functions.{name.lower()}.handler.lambda_handler",
                code=code,
                runtime=runtime,
                architecture=architecture,
                memory_size=memory_mb,
                timeout=timeout,
                snap_start=SnapStartConf.ON_PUBLISHED_VERSIONS if snap_start else None,
                tracing=Tracing.ACTIVE,
                environment={"POWERTOOLS_SERVICE_NAME": service, **environment, **own},
                role=role,
                log_group=log,
                current_version_options=VersionOptions(removal_policy=removal_policy),
            )
            Validations.of(role).acknowledge(
                Acknowledgment(
                    id="AwsSolutions::AwsSolutions-IAM5[Resource::*]",
                    reason="Traces are written to X-Ray, whose two actions know no resources.",
                )
            )
            return Alias(self, f"{name}Live", alias_name=LIVE, version=made.current_version)

        self.ping = function(codes.publishers, "Ping")
        self.post = function(codes.publishers, "Post")
        self.full = function(codes.publishers, "Full")
        self.sandbox = function(codes.publishers, "Sandbox", UNCOUNTED)
        self.instructions = function(codes.publishers, "Instructions", UNCOUNTED)
        self.api = function(codes.operators, "Api", timeout=OFFICE_TIMEOUT)
        self.dashboard = function(codes.operators, "Dashboard", dashboard, OFFICE_TIMEOUT)
        self.hourly = function(codes.operators, "Hourly", timeout=HOURLY_TIMEOUT)

        Validations.of(self).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-L1",
                reason="The start-up of the functions was measured on this runtime, and it is supported until 2029.",
            )
        )
