"""The journal's way out of the tables: what happened to pings goes to a function in batches, and files to a bucket."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from aws_cdk import Acknowledgment, CfnElement, Duration, RemovalPolicy, Stack, Validations
from aws_cdk.aws_dynamodb import Table
from aws_cdk.aws_iam import Grant, IRole
from aws_cdk.aws_lambda import Alias, CfnEventSourceMapping
from aws_cdk.aws_s3 import BlockPublicAccess, Bucket, BucketEncryption, LifecycleRule
from constructs import Construct

from infra.athena import RESULT_DAYS, RESULTS

BATCH = 1000
WINDOW_SECONDS = 1
RETRIED = Duration.hours(12)
"""Of the 24 hours that a stream keeps: a batch that fails for so long goes to the bucket."""
LETTER_DAYS = 30
"""How long the bucket keeps what has to be replayed."""
BACKSTOP_DAYS = 3700
"""How long it keeps files at most. Ringpost deletes them sooner."""
Filters = Sequence[Mapping[str, Any]]
OF_PINGS: Filters = (
    {"eventName": ["INSERT", "MODIFY"], "dynamodb": {"NewImage": {"ping": {"B": [{"exists": True}]}}}},
    {"eventName": ["INSERT"], "dynamodb": {"NewImage": {"kind": {"S": ["refusal", "probe"]}}}},
)
"""Changes that may become rows, and probes: not what TTL deletes, nor routes and retry keys."""
OF_CALLS: Filters = (
    {"eventName": ["INSERT", "MODIFY"], "dynamodb": {"NewImage": {"call": {"B": [{"exists": True}]}}}},
    {"eventName": ["INSERT"], "dynamodb": {"NewImage": {"kind": {"S": ["probe"]}}}},
)
"""Every fact of a call, as each may change when it is due, and probes: not what TTL deletes."""


class JournalBucket(Construct):
    """Private, and kept when the stack is deleted. There are no versions: what is erased must be gone."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.bucket = Bucket(
            self,
            "Files",
            encryption=BucketEncryption.S3_MANAGED,
            block_public_access=BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            versioned=False,
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,  # but not after a first deployment that failed
            lifecycle_rules=[
                LifecycleRule(
                    abort_incomplete_multipart_upload_after=Duration.days(1), expiration=Duration.days(BACKSTOP_DAYS)
                ),
                *(
                    LifecycleRule(prefix=prefix, expiration=Duration.days(LETTER_DAYS))
                    for prefix in ("dead/", "aws/lambda/")
                ),
                LifecycleRule(prefix=RESULTS, expiration=Duration.days(RESULT_DAYS)),
            ],
        )
        Validations.of(self.bucket).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-S1",
                reason="Functions of this stack read it, and who has IAM rights for Athena.",
            )
        )

    def grant(self, function: Alias, *actions: str, names: Sequence[str] = ("*",)) -> Grant:
        """Let a function do this with files, and ask for their names: else S3 does not say that one is absent."""
        logical_id = Stack.of(self).get_logical_id(cast("CfnElement", self.bucket.node.default_child))
        for name in names:
            Validations.of(cast("IRole", function.role)).acknowledge(
                Acknowledgment(
                    id=f"AwsSolutions::AwsSolutions-IAM5[Resource::<{logical_id}.Arn>/{name}]",
                    reason="The names of the journal's files are not known before.",
                )
            )
        Grant.add_to_principal(grantee=function, actions=["s3:ListBucket"], resource_arns=[self.bucket.bucket_arn])
        return Grant.add_to_principal(
            grantee=function,
            actions=[*actions],
            resource_arns=[self.bucket.arn_for_objects(name) for name in names],
        )


def grant_shards(function: Alias, table: Table) -> None:
    """Let a function ask how many shards the stream of a table has."""
    Grant.add_to_principal(grantee=function, actions=["dynamodb:DescribeTable"], resource_arns=[table.table_arn])
    Grant.add_to_principal(
        grantee=function, actions=["dynamodb:DescribeStream"], resource_arns=[table.table_stream_arn or ""]
    )


class EventStream(Construct):
    """Brings what passes one of the filters in the stream of a table to a function, each record until it has gone
    through."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        table: Table,
        filters: Filters,
        function: Alias,
        files: JournalBucket,
    ) -> None:
        super().__init__(scope, construct_id)
        stream = table.table_stream_arn or ""
        grants = [
            Grant.add_to_principal(grantee=function, actions=actions, resource_arns=[resource])
            for actions, resource in (
                (["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"], stream),
                (["dynamodb:ListStreams"], "*"),
            )
        ]
        grants.append(files.grant(function, "s3:PutObject"))
        mapping = CfnEventSourceMapping(
            self,
            "Mapping",
            function_name=function.function_arn,
            event_source_arn=stream,
            starting_position="TRIM_HORIZON",
            batch_size=BATCH,
            maximum_batching_window_in_seconds=WINDOW_SECONDS,
            parallelization_factor=1,
            bisect_batch_on_function_error=True,
            function_response_types=["ReportBatchItemFailures"],
            maximum_record_age_in_seconds=int(RETRIED.to_seconds()),
            filter_criteria=CfnEventSourceMapping.FilterCriteriaProperty(
                filters=[CfnEventSourceMapping.FilterProperty(pattern=json.dumps(each)) for each in filters]
            ),
            destination_config=CfnEventSourceMapping.DestinationConfigProperty(
                on_failure=CfnEventSourceMapping.OnFailureProperty(destination=files.bucket.bucket_arn)
            ),
        )
        for grant in grants:
            grant.apply_before(mapping)
