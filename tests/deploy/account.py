"""An account that has the CDK's bootstrap, as far as a template asks for it; stacks in it, and their API."""

import json
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import httpx

from tests.deploy.emulated import ACCOUNT, REGION, Emulator

ASSETS = f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}"
BOOTSTRAP_VERSION = "/cdk-bootstrap/hnb659fds/version"
WEBHOOKS = "/api/v1/inbound_webhooks"
SECONDS = 60

Template = dict[str, Any]


class Packed(NamedTuple):
    """The zipped bundles."""

    publishers: Path
    telephony: Path
    operators: Path


class Failed(Exception):
    """The stack did not become what it should; the message has the reasons that the emulator gave."""


class Account:
    """The emulator's."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.cloudformation = emulator.client("cloudformation")

    def bootstrap(self, packed: Packed, template: Template) -> None:
        """What `cdk bootstrap` leaves, without its roles: a bucket, here with the bundles in it, and a version."""
        s3 = self.emulator.client("s3")
        s3.create_bucket(Bucket=ASSETS)
        keys = {function["Handler"]: function["Code"]["S3Key"] for function in functions(template)}
        for name, made in (("ping", packed.publishers), ("call", packed.telephony), ("api", packed.operators)):
            s3.put_object(Bucket=ASSETS, Key=keys[f"functions.{name}.handler.lambda_handler"], Body=made.read_bytes())
        self.emulator.client("ssm").put_parameter(Name=BOOTSTRAP_VERSION, Value="30", Type="String")

    def create(self, name: str, template: Template) -> "Stack":
        """Raises `Failed`."""
        self.cloudformation.create_stack(
            StackName=name, TemplateURL=self._uploaded(template), Capabilities=["CAPABILITY_IAM"]
        )
        return Stack(self, name, self._wait(name, "CREATE_COMPLETE")["StackId"])

    def update(self, stack: "Stack", template: Template) -> None:
        """Raises `Failed`."""
        self.cloudformation.update_stack(
            StackName=stack.name, TemplateURL=self._uploaded(template), Capabilities=["CAPABILITY_IAM"]
        )
        self._wait(stack.id, "UPDATE_COMPLETE")

    def delete(self, stack: "Stack") -> None:
        """Raises `Failed`."""
        self.cloudformation.delete_stack(StackName=stack.name)
        self._wait(stack.id, "DELETE_COMPLETE")

    def _uploaded(self, template: Template) -> str:
        """Where the template is now: as the body of a call it would be too large."""
        self.emulator.client("s3").put_object(Bucket=ASSETS, Key="template.json", Body=json.dumps(template))
        return f"{self.emulator.url}/{ASSETS}/template.json"

    def left(self) -> set[str]:
        """The kinds of resources that stacks have left behind, of all kinds that Ringpost's stack has."""
        aws = self.emulator.client
        found = {
            "alarm": aws("cloudwatch").describe_alarms()["MetricAlarms"],
            "api": aws("apigatewayv2").get_apis()["Items"],
            "bucket": [each for each in aws("s3").list_buckets()["Buckets"] if each["Name"] != ASSETS],
            "dashboard": aws("cloudwatch").list_dashboards()["DashboardEntries"],
            "function": aws("lambda").list_functions()["Functions"],
            "log": aws("logs").describe_log_groups()["logGroups"],
            "mapping": aws("lambda").list_event_source_mappings()["EventSourceMappings"],
            "rule": aws("events").list_rules()["Rules"],
            "role": aws("iam").list_roles()["Roles"],
            "secret": aws("secretsmanager").list_secrets()["SecretList"],
            "table": aws("dynamodb").list_tables()["TableNames"],
            "user pool": aws("cognito-idp").list_user_pools(MaxResults=60)["UserPools"],
            "topic": aws("sns").list_topics()["Topics"],
        }
        return {kind for kind, resources in found.items() if resources}

    def _wait(self, stack: str, wanted: str) -> dict[str, Any]:
        give_up_at = time.monotonic() + SECONDS
        while time.monotonic() < give_up_at:
            [found] = self.cloudformation.describe_stacks(StackName=stack)["Stacks"]
            status: str = found["StackStatus"]
            if status == wanted:
                return dict(found)
            if not status.endswith("IN_PROGRESS"):
                break
            time.sleep(0.1)
        events = self.cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
        reasons = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"
            for event in events
            if "FAILED" in event["ResourceStatus"]
        ]
        raise Failed("\n".join([f"{stack} is {status}, not {wanted}", *reasons]))


@dataclass
class Stack:
    """Entered, it is there to be used; left, it is deleted unless it is already."""

    account: Account
    name: str
    id: str

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.api.close()
        self.site.close()
        [found] = self.account.cloudformation.describe_stacks(StackName=self.id)["Stacks"]
        if found["StackStatus"] != "DELETE_COMPLETE":
            self.account.delete(self)

    @cached_property
    def outputs(self) -> dict[str, str]:
        [found] = self.account.cloudformation.describe_stacks(StackName=self.id)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}

    @cached_property
    def api(self) -> httpx.Client:
        return self._client(WEBHOOKS)

    @cached_property
    def site(self) -> httpx.Client:
        return self._client("")

    def _client(self, path: str) -> httpx.Client:
        """By the API's URL: its name goes to the emulator, whatever resolves names here."""
        return httpx.Client(
            base_url=self.account.emulator.url + path,
            headers={"Host": urlsplit(self.outputs["Url"]).netloc},
            timeout=SECONDS,  # sixteen cold starts at once take long on two cores
            trust_env=False,
        )

    def send(self, verb: str, endpoint: str = "my_endpoint", **params: str) -> httpx.Response:
        return self.api.post(f"/{verb}/{endpoint}", data=params)

    def resources(self, kind: str) -> dict[str, str]:
        """Physical by logical ids, of one type."""
        pages = self.account.cloudformation.get_paginator("list_stack_resources").paginate(StackName=self.id)
        return {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for page in pages
            for resource in page["StackResourceSummaries"]
            if resource["ResourceType"] == kind
        }


def functions(template: Template) -> list[dict[str, Any]]:
    """The properties of every Lambda function."""
    resources = template["Resources"].values()
    return [resource["Properties"] for resource in resources if resource["Type"] == "AWS::Lambda::Function"]
