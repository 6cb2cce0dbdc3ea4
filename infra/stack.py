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
from infra.api import Api
from infra.athena import Athena
from infra.bundle import Codes
from infra.cloudfront import Front
from infra.event_stream import OF_CALLS, OF_PINGS, EventStream, JournalBucket, grant_shards
from infra.lambda_functions import Functions
from infra.monitoring import Operations
from infra.sign_in import SignIn
from infra.stages import Stage
from infra.tables import Tables
from infra.version import version
from shared.functions import DASHBOARD, FUNCTIONS
from shared.schema import OF_CALLER
from shared.settings import Settings

RANDOM_TEXT = SecretStringGenerator(password_length=64, exclude_punctuation=True)


class Ringpost(Stack):
    """One deployment of Ringpost."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage, codes: Codes, env: Environment) -> None:
        super().__init__(scope, construct_id, env=env, termination_protection=stage.deletion_protection)

        tables = Tables(
            self,
            "Tables",
            units=stage.units,
            deletion_protection=stage.deletion_protection,
            removal_policy=stage.removal_policy,
        )
        secret = Secret(
            self,
            "Secret",
            description="Keys the checksums of ping ids and the hashes of callers and tokens",
            generate_secret_string=RANDOM_TEXT,
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,  # but not after a first deployment that failed
        )
        Validations.of(secret).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-SMG4",
                reason="A new secret makes every open ping unknown: it is replaced by hand, when nothing else helps.",
            )
        )
        session_secret = Secret(
            self,
            "SessionSecret",
            description="Signs the dashboard's cookies; only the dashboard can read it",
            generate_secret_string=RANDOM_TEXT,
            removal_policy=stage.removal_policy,
        )
        Validations.of(session_secret).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-SMG4",
                reason="A new one signs everybody out, so that it is rotated by hand.",
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
        provider_secrets = Secret(
            self,
            "ProviderSecrets",
            description="What the webhooks of telephony providers are checked with: a JSON object of the operator's",
            secret_string_value=SecretValue.unsafe_plain_text("{}"),
            removal_policy=stage.removal_policy,
        )
        Validations.of(provider_secrets).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-SMG4",
                reason="Providers give them out; while one is rotated, both are in it.",
            )
        )
        api = Api(self, "Api", name=construct_id, domain=None if stage.cloudfront else stage.domain)
        front = (
            Front(self, "Front", name=construct_id, api_id=api.id, cloudfront=stage.cloudfront, domain=stage.domain)
            if stage.cloudfront
            else None
        )
        address = front or api
        sign_in = SignIn(
            self,
            "SignIn",
            name=construct_id,
            prefix=f"{construct_id}-{api.id}",
            urls=address.urls,
            second_factor=stage.second_factor,
            deletion_protection=stage.deletion_protection,
            removal_policy=stage.removal_policy,
        )
        settings = Settings(
            config_table=tables.config.table_name,
            pings_table=tables.pings.table_name,
            leases_table=tables.leases.table_name,
            callers_table=tables.callers.table_name,
            sandbox_pings_table=tables.sandbox_pings.table_name,
            sandbox_leases_table=tables.sandbox_leases.table_name,
            sandbox_callers_table=tables.sandbox_callers.table_name,
            secret_arn=secret.secret_arn,
            buyer_secrets_arn=buyer_secrets.secret_arn,
            origin_secret_arns=",".join(origin.secret_arn for origin in front.secrets) if front else "",
            version=version(),
        )
        files = JournalBucket(self, "Journal")
        athena = Athena(self, "Athena", name=construct_id, bucket=files.bucket)
        of_calls = replace(settings, calls_table=tables.calls.table_name)
        of_call = replace(of_calls, provider_secrets_arn=provider_secrets.secret_arn)
        of_journal = replace(of_calls, journal_table=tables.journal.table_name, journal_bucket=files.bucket.bucket_name)
        of_dashboard = replace(
            of_journal,
            session_secret_arn=session_secret.secret_arn,
            cognito_url=sign_in.url,
            cognito_issuer=sign_in.issuer,
            cognito_client_id=sign_in.client_id,
            cognito_secret_arn=sign_in.secret.secret_arn,
        )
        of_operators = [name for name, function in FUNCTIONS.items() if function.bundle == "operators"]
        functions = Functions(
            self,
            "Functions",
            codes=codes,
            runtime=bundle.RUNTIME,
            architecture=bundle.ARCHITECTURE,
            memory_mb=stage.memory_mb,
            snap_start=stage.snap_start,
            reserve=stage.reserve,
            service=construct_id,
            environment=settings.environment(),
            own=dict.fromkeys(of_operators, of_journal.environment())
            | {"dashboard": of_dashboard.environment(), "call": of_call.environment()},
            log_retention=stage.log_retention,
            removal_policy=stage.removal_policy,
        ).by_name
        access_log = api.add_routes(
            functions=functions,
            throttles={
                "verbs": stage.throttle,
                "operators": stage.throttle_operators,
                "elsewhere": stage.throttle_elsewhere,
            },
            log_retention=stage.log_retention,
            removal_policy=stage.removal_policy,
        )
        answering = [functions[name] for name, function in FUNCTIONS.items() if function.routes]
        Operations(
            self,
            "Operations",
            service=construct_id,
            api_id=api.id,
            access_log=access_log,
            firewall=front.firewall if front else None,
            functions=answering,
            call=functions["call"],
            hourly=functions["hourly"],
            minute=functions["minute"],
            journal=functions["journal"],
            tables=(tables.config, tables.pings, tables.calls, tables.leases, tables.callers, tables.journal),
            addresses=stage.alarm_addresses,
            monthly_budget_dollars=stage.monthly_budget_dollars,
        )

        for function in answering:
            _may_read(function, *(front.secrets if front else ()))
        for function in (functions["ping"], functions["post"], functions["full"]):
            tables.config.grant(function, "dynamodb:GetItem", "dynamodb:BatchGetItem")
            _grant(function, tables.pings, "dynamodb:GetItem", "dynamodb:PutItem")
            tables.leases.grant(function, "dynamodb:BatchGetItem")
            tables.callers.grant(function, "dynamodb:BatchGetItem", "dynamodb:UpdateItem")
            _may_read(function, secret, buyer_secrets)
        for seller in (functions["post"], functions["full"]):
            _grant(seller, tables.pings, "dynamodb:BatchGetItem", "dynamodb:UpdateItem")
            tables.leases.grant(seller, "dynamodb:UpdateItem")
        # It queries for the endpoint of an overflow number, which a caller that nobody announced is sold by.
        tables.config.grant(functions["call"], "dynamodb:GetItem", "dynamodb:Query")
        _grant(
            functions["call"],
            tables.pings,
            "dynamodb:GetItem",
            "dynamodb:BatchGetItem",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
        )
        tables.calls.grant(functions["call"], "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem")
        tables.leases.grant(functions["call"], "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:UpdateItem")
        tables.callers.grant(functions["call"], "dynamodb:BatchGetItem", "dynamodb:UpdateItem")
        _may_read(functions["call"], secret, buyer_secrets, provider_secrets)
        for function in (functions["sandbox"], functions["instructions"]):
            tables.config.grant(function, "dynamodb:GetItem", "dynamodb:BatchGetItem")
            _grant(function, tables.sandbox_pings, "dynamodb:GetItem")
            _may_read(function, secret)
        _grant(functions["instructions"], tables.pings, "dynamodb:GetItem")
        _grant(functions["sandbox"], tables.sandbox_pings, "dynamodb:PutItem", "dynamodb:UpdateItem")
        tables.sandbox_leases.grant(
            functions["sandbox"], "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"
        )
        tables.sandbox_callers.grant(functions["sandbox"], "dynamodb:UpdateItem")
        for office in (functions["api"], functions["dashboard"]):
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
            tables.calls.grant(office, "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:UpdateItem")
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
            _grant(office, tables.sandbox_pings, "dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem")
            _grant(office, tables.sandbox_pings, "dynamodb:Query", index=OF_CALLER)
            tables.journal.grant(office, "dynamodb:GetItem", "dynamodb:Query")
            files.grant(office, "s3:GetObject", names=("hours/*", "days/*", "cubes/*"))
        _may_read(functions["api"], secret)
        _may_read(functions["dashboard"], secret, session_secret, sign_in.secret)

        for each in FUNCTIONS.values():
            if each.every_minutes:
                Rule(
                    self,
                    each.name.capitalize(),
                    description=f"Calls the function {each.name}",
                    schedule=Schedule.rate(Duration.minutes(each.every_minutes)),
                    targets=[LambdaFunction(functions[each.name])],
                )
        tables.config.grant(
            functions["hourly"], "dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem"
        )
        tables.leases.grant(functions["hourly"], "dynamodb:BatchGetItem", "dynamodb:UpdateItem")
        tables.calls.grant(functions["hourly"], "dynamodb:GetItem", "dynamodb:PutItem")
        tables.journal.grant(functions["hourly"], "dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem")
        _grant(functions["hourly"], tables.pings, "dynamodb:BatchGetItem", "dynamodb:PutItem")
        files.grant(functions["hourly"], "s3:GetObject", names=("hours/*", "days/*"))
        _may_read(functions["hourly"], secret)

        EventStream(self, "Events", table=tables.pings, filters=OF_PINGS, function=functions["journal"], files=files)
        EventStream(
            self, "CallEvents", table=tables.calls, filters=OF_CALLS, function=functions["journal"], files=files
        )
        tables.config.grant(functions["journal"], "dynamodb:GetItem", "dynamodb:Query")
        tables.leases.grant(functions["journal"], "dynamodb:UpdateItem")
        _grant(functions["journal"], tables.pings, "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:UpdateItem")
        _may_read(functions["journal"], secret)
        tables.journal.grant(functions["journal"], "dynamodb:PutItem", "dynamodb:UpdateItem")
        tables.config.grant(functions["minute"], "dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem")
        tables.journal.grant(
            functions["minute"], "dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem"
        )
        files.grant(functions["minute"], "s3:GetObject", "s3:PutObject", "s3:DeleteObject")
        _grant(
            functions["minute"],
            tables.pings,
            "dynamodb:GetItem",
            "dynamodb:BatchGetItem",
            "dynamodb:UpdateItem",
            "dynamodb:DeleteItem",
            "dynamodb:PutItem",
        )
        _grant(
            functions["minute"], tables.sandbox_pings, "dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"
        )
        _grant(functions["minute"], tables.sandbox_pings, "dynamodb:Query", index="of_caller")
        tables.callers.grant(functions["minute"], "dynamodb:DeleteItem")
        tables.calls.grant(
            functions["minute"], "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"
        )
        tables.leases.grant(functions["minute"], "dynamodb:UpdateItem")
        _may_read(functions["minute"], secret)
        for waiting in (functions["hourly"], functions["minute"]):
            grant_shards(waiting, tables.pings)
            grant_shards(waiting, tables.calls)

        CfnOutput(self, "Version", value=settings.version)
        CfnOutput(self, "Url", value=address.url)
        CfnOutput(self, "DashboardUrl", value=f"{address.url}{DASHBOARD}")
        CfnOutput(self, "UserPoolId", value=sign_in.pool_id)
        if address.domain_target:
            CfnOutput(
                self, "DomainTarget", value=address.domain_target, description="Where the domain's DNS entry leads"
            )
        CfnOutput(self, "ConfigTable", value=tables.config.table_name)
        CfnOutput(self, "PingsTable", value=tables.pings.table_name)
        CfnOutput(self, "CallsTable", value=tables.calls.table_name)
        CfnOutput(self, "LeasesTable", value=tables.leases.table_name)
        CfnOutput(self, "CallersTable", value=tables.callers.table_name)
        CfnOutput(self, "JournalTable", value=tables.journal.table_name)
        CfnOutput(self, "JournalBucket", value=files.bucket.bucket_name)
        CfnOutput(self, "AthenaDatabase", value=athena.database_name)
        CfnOutput(self, "AthenaWorkGroup", value=construct_id)
        CfnOutput(self, "SandboxPingsTable", value=tables.sandbox_pings.table_name)
        CfnOutput(self, "SandboxLeasesTable", value=tables.sandbox_leases.table_name)
        CfnOutput(self, "SandboxCallersTable", value=tables.sandbox_callers.table_name)
        CfnOutput(self, "SecretArn", value=secret.secret_arn)
        CfnOutput(self, "SessionSecretArn", value=session_secret.secret_arn)
        CfnOutput(self, "BuyerSecretsArn", value=buyer_secrets.secret_arn)
        CfnOutput(self, "ProviderSecretsArn", value=provider_secrets.secret_arn)


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
