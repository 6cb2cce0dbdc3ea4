"""The functions that publishers call."""

from collections.abc import Mapping

from aws_cdk import Acknowledgment, Duration, RemovalPolicy, Validations
from aws_cdk.aws_iam import Role, ServicePrincipal
from aws_cdk.aws_lambda import Architecture, Code, Function, Runtime
from aws_cdk.aws_logs import LogGroup, RetentionDays
from constructs import Construct

# A claim on a ping may be taken over after 10 seconds; whoever made it must be dead by then.
TIMEOUT = Duration.seconds(9)
# Memory buys CPU. A million PINGs cost 1.9 dollars with this much, of which 1.2 are fees that memory does not change.
MEMORY_MB = 512


class Functions(Construct):
    """Alike but for their handler. Each has a role of its own, which may write its own log and nothing else yet."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        code: Code,
        runtime: Runtime,
        architecture: Architecture,
        environment: Mapping[str, str],
        log_retention: RetentionDays,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(scope, construct_id)

        def function(name: str) -> Function:
            log = LogGroup(self, f"{name}Log", retention=log_retention, removal_policy=removal_policy)
            # Without a role given, the CDK attaches a policy of AWS that may write every log of the account.
            role = Role(self, f"{name}Role", assumed_by=ServicePrincipal("lambda.amazonaws.com"))
            log.grant_write(role)
            return Function(
                self,
                name,
                handler=f"functions.{name.lower()}.handler.lambda_handler",
                code=code,
                runtime=runtime,
                architecture=architecture,
                memory_size=MEMORY_MB,
                timeout=TIMEOUT,
                environment={"POWERTOOLS_SERVICE_NAME": "ringpost", **environment},
                role=role,
                log_group=log,
            )

        self.ping = function("Ping")
        self.post = function("Post")
        self.full = function("Full")

        Validations.of(self).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-L1",
                reason="The start-up of the functions was measured on this runtime, and it is supported until 2029.",
            )
        )
