"""The functions: those that sell, and those around them."""

from collections.abc import Mapping

from aws_cdk import Acknowledgment, Duration, RemovalPolicy, Size, Validations
from aws_cdk.aws_iam import Role, ServicePrincipal
from aws_cdk.aws_lambda import (
    Alias,
    ApplicationLogLevel,
    Architecture,
    Function,
    LoggingFormat,
    Runtime,
    SnapStartConf,
    SystemLogLevel,
    Tracing,
    VersionOptions,
)
from aws_cdk.aws_logs import LogGroup, RetentionDays
from constructs import Construct

from infra.bundle import Codes
from shared.functions import DISK_MB, FUNCTIONS
from shared.functions import Function as Row

LIVE = "live"
"""The alias that the API calls. It names a published version: what runs is what was deployed, whole, and going back is
to name an older one."""


class Functions(Construct):
    """Alike but for their handler. Each has a role of its own, which may write its own log and traces and nothing else
    yet; each is seen by its live alias. `own` is what the environments of single functions have beside that of all."""

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
        reserve: bool,
        service: str,
        environment: Mapping[str, str],
        own: Mapping[str, Mapping[str, str]],
        log_retention: RetentionDays,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(scope, construct_id)

        def alias(function: Row) -> Alias:
            name = function.name.capitalize()
            log = LogGroup(self, f"{name}Log", retention=log_retention, removal_policy=removal_policy)
            # Without a role given, the CDK attaches a policy of AWS that may write every log of the account.
            role = Role(self, f"{name}Role", assumed_by=ServicePrincipal("lambda.amazonaws.com"))
            log.grant_write(role)
            variables = {"POWERTOOLS_SERVICE_NAME": service, **environment, **own.get(function.name, {})}
            if not function.counted:
                variables["POWERTOOLS_METRICS_DISABLED"] = "true"
            made = Function(
                self,
                name,
                handler=function.handler,
                code=codes[function.bundle],
                runtime=runtime,
                architecture=architecture,
                memory_size=max(memory_mb, function.least_memory_mb),
                ephemeral_storage_size=Size.mebibytes(function.disk_mb) if function.disk_mb > DISK_MB else None,
                timeout=Duration.seconds(function.timeout_seconds),
                snap_start=SnapStartConf.ON_PUBLISHED_VERSIONS if snap_start and function.disk_mb <= DISK_MB else None,
                reserved_concurrent_executions=function.processes or None if reserve else None,
                tracing=Tracing.ACTIVE,
                environment=variables,
                role=role,
                log_group=log,
                logging_format=LoggingFormat.JSON,
                application_log_level_v2=ApplicationLogLevel.INFO,
                system_log_level_v2=SystemLogLevel.WARN,  # START, END and REPORT only of what failed
                current_version_options=VersionOptions(removal_policy=removal_policy),
            )
            Validations.of(role).acknowledge(
                Acknowledgment(
                    id="AwsSolutions::AwsSolutions-IAM5[Resource::*]",
                    reason="Traces are written to X-Ray, whose two actions know no resources.",
                )
            )
            return Alias(self, f"{name}Live", alias_name=LIVE, version=made.current_version)

        self.by_name = {name: alias(function) for name, function in FUNCTIONS.items()}

        Validations.of(self).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-L1",
                reason="The start-up of the functions was measured on this runtime, and it is supported until 2029.",
            )
        )
