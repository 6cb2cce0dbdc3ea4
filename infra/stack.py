"""The drawing: what there is, what leads where, and who may do what."""

from dataclasses import replace

from aws_cdk import Acknowledgment, CfnOutput, Duration, Environment, RemovalPolicy, SecretValue, Stack, Validations
from aws_cdk.aws_dynamodb import Table
from aws_cdk.aws_events import Rule, Schedule
from aws_cdk.aws_events_targets import LambdaFunction
from aws_cdk.aws_iam import Grant, IGrantable
from aws_cdk.aws_secretsmanager import Secret, SecretStringGenerator
from constructs import Construct

from infra import bundle
from infra.api import Api, Route
from infra.bundle import Codes
from infra.functions import Functions
from infra.operations import Operations
from infra.sign_in import DASHBOARD, SignIn
from infra.stages import Stage
from infra.tables import Tables
from shared.settings import Settings

OPERATORS = "/api/v1"
WEBHOOKS = f"{OPERATORS}/inbound_webhooks"
SANDBOX = "/sandbox"
INSTRUCTIONS = "/posting_instructions"


class Ringpost(Stack):
    """One deployment of Ringpost."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage, codes: Codes, env: Environment) -> None:
        super().__init__(scope, construct_id, env=env, termination_protection=stage.deletion_protection)

        tables = Tables(
            self, "Tables", deletion_protection=stage.deletion_protection, removal_policy=stage.removal_policy
        )
        secret = Secret(
            self,
            "Secret",
            description="Keys the checksums of ping ids and the hashes of callers and tokens",
            generate_secret_string=SecretStringGenerator(password_length=64, exclude_punctuation=True),
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,  # but not after a first deployment that failed
        )
        Validations.of(secret).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-SMG4",
                reason="A new secret makes every open ping unknown: it is replaced by hand, when nothing else helps.",
            )
        )
        buyer_secrets = Secret(
            self,
            "BuyerSecrets",
            description="What the templates of live buyers name: a JSON object, filled by the operator",
            secret_string_value=SecretValue.unsafe_plain_text("{}"),
            removal_policy=stage.removal_policy,
        )
        Validations.of(buyer_secrets).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-SMG4", reason="Buyers give them out, and renew them when they want."
            )
        )
        api = Api(self, "Api", name=construct_id, domain=stage.domain)
        sign_in = SignIn(
            self,
            "SignIn",
            name=construct_id,
            prefix=f"{construct_id}-{api.id}",
            urls=api.urls,
            second_factor=stage.second_factor,
            deletion_protection=stage.deletion_protection,
            removal_policy=stage.removal_policy,
        )
        settings = Settings(
            config_table=tables.config.table_name,
            pings_table=tables.pings.table_name,
            leases_table=tables.leases.table_name,
            callers_table=tables.callers.table_name,
            journal_table=tables.journal.table_name,
            secret_arn=secret.secret_arn,
            buyer_secrets_arn=buyer_secrets.secret_arn,
        )
        of_dashboard = replace(
            settings,
            cognito_url=sign_in.url,
            cognito_issuer=sign_in.issuer,
            cognito_client_id=sign_in.client_id,
            cognito_secret_arn=sign_in.secret.secret_arn,
        )
        functions = Functions(
            self,
            "Functions",
            codes=codes,
            runtime=bundle.RUNTIME,
            architecture=bundle.ARCHITECTURE,
            memory_mb=stage.memory_mb,
            snap_start=stage.snap_start,
            service=construct_id,
            environment=settings.environment(),
            dashboard=of_dashboard.environment(),
            log_retention=stage.log_retention,
            removal_policy=stage.removal_policy,
        )
        elsewhere = Route(functions.ping, stage.throttle_elsewhere)
        api.lead(
            routes={
                f"{WEBHOOKS}/ping": Route(functions.ping, stage.throttle),
                f"{WEBHOOKS}/post": Route(functions.post, stage.throttle),
                f"{WEBHOOKS}/full": Route(functions.full, stage.throttle),
                WEBHOOKS: elsewhere,
                OPERATORS: Route(functions.api, stage.throttle_operators),
                SANDBOX: elsewhere._replace(function=functions.sandbox),
                INSTRUCTIONS: elsewhere._replace(function=functions.instructions),
                DASHBOARD: Route(functions.dashboard, stage.throttle_operators, itself=True),
            },
            fallback=elsewhere,
            log_retention=stage.log_retention,
            removal_policy=stage.removal_policy,
        )
        Operations(
            self,
            "Operations",
            service=construct_id,
            api_id=api.id,
            functions=(
                functions.ping,
                functions.post,
                functions.full,
                functions.sandbox,
                functions.instructions,
                functions.api,
                functions.dashboard,
            ),
            hourly=functions.hourly,
            tables=(tables.config, tables.pings, tables.leases, tables.callers, tables.journal),
            addresses=stage.alarm_addresses,
        )

        for function in (functions.ping, functions.post, functions.full):
            tables.config.grant(function, "dynamodb:GetItem", "dynamodb:BatchGetItem")
            _grant(function, tables.pings, "dynamodb:GetItem", "dynamodb:PutItem")
            tables.leases.grant(function, "dynamodb:BatchGetItem")
            tables.callers.grant(function, "dynamodb:BatchGetItem", "dynamodb:UpdateItem")
            tables.journal.grant(function, "dynamodb:UpdateItem")
            _may_read(function, secret, buyer_secrets)
        for seller in (functions.post, functions.full):
            _grant(seller, tables.pings, "dynamodb:UpdateItem")
            tables.leases.grant(seller, "dynamodb:UpdateItem")
        for function in (functions.sandbox, functions.instructions):
            tables.config.grant(function, "dynamodb:GetItem", "dynamodb:BatchGetItem")
            _grant(function, tables.pings, "dynamodb:GetItem")
            _may_read(function, secret)
        _grant(functions.sandbox, tables.pings, "dynamodb:PutItem", "dynamodb:UpdateItem")
        tables.leases.grant(functions.sandbox, "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem")
        tables.callers.grant(functions.sandbox, "dynamodb:UpdateItem")
        for office in (functions.api, functions.dashboard):
            tables.config.grant(
                office,
                "dynamodb:GetItem",
                "dynamodb:BatchGetItem",
                "dynamodb:Query",
                "dynamodb:PutItem",
                "dynamodb:BatchWriteItem",
                "dynamodb:UpdateItem",
                "dynamodb:DeleteItem",
            )
            tables.leases.grant(office, "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem")
            tables.callers.grant(
                office,
                "dynamodb:BatchGetItem",
                "dynamodb:UpdateItem",
                "dynamodb:DeleteItem",
            )
            _grant(
                office,
                tables.pings,
                "dynamodb:GetItem",
                "dynamodb:BatchGetItem",
                "dynamodb:UpdateItem",
                "dynamodb:DeleteItem",
            )
            for index in ("by_log", "by_caller", "by_buyer"):
                _grant(office, tables.pings, "dynamodb:Query", index=index)
        tables.journal.grant(functions.dashboard, "dynamodb:Query")
        _may_read(functions.api, secret)
        _may_read(functions.dashboard, secret, sign_in.secret)

        Rule(
            self,
            "Hourly",
            description="Repairs caps and removes old leads",
            schedule=Schedule.rate(Duration.hours(1)),
            targets=[LambdaFunction(functions.hourly)],
        )
        tables.config.grant(functions.hourly, "dynamodb:GetItem", "dynamodb:Query")
        tables.leases.grant(functions.hourly, "dynamodb:BatchGetItem", "dynamodb:UpdateItem")
        tables.journal.grant(functions.hourly, "dynamodb:GetItem", "dynamodb:PutItem")
        _grant(functions.hourly, tables.pings, "dynamodb:GetItem", "dynamodb:UpdateItem")
        for index in ("by_log", "by_buyer"):
            _grant(functions.hourly, tables.pings, "dynamodb:Query", index=index)
        _may_read(functions.hourly, secret)

        CfnOutput(self, "Url", value=api.url)
        CfnOutput(self, "DashboardUrl", value=f"{api.url}{DASHBOARD}")
        CfnOutput(self, "UserPoolId", value=sign_in.pool_id)
        if api.domain_target:
            CfnOutput(self, "DomainTarget", value=api.domain_target, description="Where the domain's DNS entry leads")
        CfnOutput(self, "ConfigTable", value=tables.config.table_name)
        CfnOutput(self, "PingsTable", value=tables.pings.table_name)
        CfnOutput(self, "LeasesTable", value=tables.leases.table_name)
        CfnOutput(self, "CallersTable", value=tables.callers.table_name)
        CfnOutput(self, "JournalTable", value=tables.journal.table_name)
        CfnOutput(self, "SecretArn", value=secret.secret_arn)
        CfnOutput(self, "BuyerSecretsArn", value=buyer_secrets.secret_arn)


def _grant(grantee: IGrantable, table: Table, *actions: str, index: str = "") -> None:
    """On a table with indexes, or on one index of it: the table's own `grant` would give all of them too."""
    arn = f"{table.table_arn}/index/{index}" if index else table.table_arn
    Grant.add_to_principal(grantee=grantee, actions=[*actions], resource_arns=[arn])


def _may_read(function: IGrantable, *secrets: Secret) -> None:
    Grant.add_to_principal(
        grantee=function,
        actions=["secretsmanager:GetSecretValue"],
        resource_arns=[secret.secret_arn for secret in secrets],
    )
