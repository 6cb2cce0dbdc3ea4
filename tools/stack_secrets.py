"""The secrets of a deployed stage that its operator fills: those of live buyers, and those of telephony providers."""

import json
from collections.abc import Mapping

from botocore.exceptions import BotoCoreError, ClientError

from shared.store.records import Records
from tools.stack_access import aws_session, secrets_manager
from tools.target import fail


def arn_of(records: Records, of_providers: bool) -> str:
    """Where they are. Exits for the local run, which has files."""
    named = records.dynamo.settings
    arn, file = (
        (named.provider_secrets_arn, "provider-secrets.json")
        if of_providers
        else (named.buyer_secrets_arn, "buyer-secrets.json")
    )
    return arn or fail(f"Of the local run they are in {file} in its data directory, which it reads when it starts.")


def read(arn: str) -> dict[str, str]:
    """By name. Exits where AWS does not give them."""
    try:
        answer = secrets_manager(aws_session()).get_secret_value(SecretId=arn)
    except (BotoCoreError, ClientError) as fault:
        fail(f"AWS did not give the secrets: {fault}")
    found: dict[str, str] = json.loads(answer["SecretString"])
    return found


def write(arn: str, secrets: Mapping[str, str]) -> None:
    """Exits where AWS does not take them."""
    try:
        secrets_manager(aws_session()).put_secret_value(SecretId=arn, SecretString=json.dumps(secrets))
    except (BotoCoreError, ClientError) as fault:
        fail(f"AWS did not take the secrets: {fault}")
