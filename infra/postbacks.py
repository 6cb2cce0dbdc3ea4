"""The queue of postbacks, and its way to the function that sends them."""

from aws_cdk import Duration
from aws_cdk.aws_iam import Grant
from aws_cdk.aws_lambda import Alias, CfnEventSourceMapping
from aws_cdk.aws_sqs import DeadLetterQueue, Queue, QueueEncryption
from constructs import Construct

BATCH = 10
MOST_AT_ONCE = 10
"""Processes that send, of ten postbacks each: they cannot take those of PING and POST. No receiver has more than five
tries at once, so that some that hang hold nobody else up."""
VISIBLE_AFTER = Duration.seconds(180)
"""Six times as long as the function may take, as AWS asks for."""
RECEIVED = 10
"""How often a message is brought that the function does not take, before it is put aside."""
KEPT = Duration.days(14)


class Postbacks(Construct):
    """A standard queue, whose message groups are the receivers: one with many waits behind those of others."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = Queue(
            self, "DeadLetters", encryption=QueueEncryption.SQS_MANAGED, enforce_ssl=True, retention_period=KEPT
        )
        self.queue = Queue(
            self,
            "Queue",
            encryption=QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=KEPT,
            visibility_timeout=VISIBLE_AFTER,
            dead_letter_queue=DeadLetterQueue(queue=self.dead_letters, max_receive_count=RECEIVED),
        )

    def bring_to(self, function: Alias) -> None:
        grant = Grant.add_to_principal(
            grantee=function,
            actions=[
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:ChangeMessageVisibility",
            ],
            resource_arns=[self.queue.queue_arn],
        )
        mapping = CfnEventSourceMapping(
            self,
            "Mapping",
            function_name=function.function_arn,
            event_source_arn=self.queue.queue_arn,
            batch_size=BATCH,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config=CfnEventSourceMapping.ScalingConfigProperty(maximum_concurrency=MOST_AT_ONCE),
        )
        grant.apply_before(mapping)

    def grant_send(self, function: Alias) -> Grant:
        return Grant.add_to_principal(
            grantee=function, actions=["sqs:SendMessage"], resource_arns=[self.queue.queue_arn]
        )
