"""An emulator of AWS, to deploy to without an account: ministack, and where it would refuse our template or read it
otherwise than AWS does, mended. It has a Python of its own: `make emulator`.

It runs the functions as processes of that Python, so it wants the bundle for `host`. Its handlers of DynamoDB run one
at a time, so that a condition and its write are never torn apart.
"""

import copy
import json
from string import punctuation
from typing import Any

from ministack import app
from ministack.core import iam_actions
from ministack.services import dynamodb, lambda_svc
from ministack.services.cloudformation import provisioners

NOTHING = {"MetricName": "None", "Namespace": "None"}


def mend() -> None:
    """Raises `KeyError` or `AttributeError` where ministack is another than the locked one."""
    handlers = provisioners._RESOURCE_HANDLERS

    alarms = handlers["AWS::CloudWatch::Alarm"]
    create_alarm, update_alarm = alarms["create"], alarms["update"]

    def watching_nothing(properties: dict[str, Any]) -> dict[str, Any]:
        """An alarm over several metrics is refused: it comes to be, and watches none of them."""
        return {key: value for key, value in properties.items() if key != "Metrics"} | (
            NOTHING if "Metrics" in properties else {}
        )

    alarms["create"] = lambda key, new, *rest: create_alarm(key, watching_nothing(new), *rest)
    alarms["update"] = lambda key, old, new, *rest: update_alarm(
        key, watching_nothing(old), watching_nothing(new), *rest
    )

    secrets = handlers["AWS::SecretsManager::Secret"]
    create_secret, update_secret, delete_secret = secrets["create"], secrets["update"], secrets["delete"]

    def by_arn(made: tuple[str, dict[str, str]]) -> tuple[str, dict[str, str]]:
        """A reference to a secret is its ARN, not its name."""
        return made[1]["Arn"], made[1]

    def name(arn: str) -> str:
        return arn.rpartition(":")[2].rpartition("-")[0]

    make_secret_text = provisioners._sm_secret_string

    def without_punctuation(properties: dict[str, Any]) -> str:
        """It knows `ExcludeCharacters` only: one text in ninety began with a brace, as a JSON object does."""
        wanted = properties.get("GenerateSecretString", {})
        if wanted.get("ExcludePunctuation"):
            properties = properties | {"GenerateSecretString": wanted | {"ExcludeCharacters": punctuation}}
        made: str = make_secret_text(properties)
        return made

    provisioners._sm_secret_string = without_punctuation

    # Unknown to it: what the pages of a managed login look like.
    handlers["AWS::Cognito::ManagedLoginBranding"] = {
        "create": lambda key, *_: (key, {}),
        "update": lambda key, *_: (key, {}),
        "delete": lambda *_: None,
    }

    execute = lambda_svc._execute_function_with_config_scope

    def with_cookies(record: Any, event: dict[str, Any], *rest: Any) -> Any:
        """Of an HTTP API's event the cookies are a list, and no header."""
        if "cookie" in event.get("headers", {}):
            event["cookies"] = event["headers"].pop("cookie").split("; ")
        return execute(record, event, *rest)

    lambda_svc._execute_function_with_config_scope = with_cookies

    name_resource = iam_actions.extract_resource_arn

    def name_stream(service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any) -> str:
        """A request to a stream names it: else only a grant of everything would let it through."""
        named: str = name_resource(service, method, path, headers, body, *rest)
        return json.loads(body).get("StreamArn", named) if service == "dynamodbstreams" else named

    iam_actions.extract_resource_arn = name_stream

    evaluate = dynamodb._eval_set_value

    def evaluate_apart(*given: Any) -> Any:
        """Two attributes that are set to one value are two: else what is written into one map is in the other too."""
        return copy.deepcopy(evaluate(*given))

    dynamodb._eval_set_value = evaluate_apart

    secrets["create"] = lambda *given: by_arn(create_secret(*given))
    secrets["update"] = lambda arn, *given: by_arn(update_secret(name(arn), *given))
    secrets["delete"] = lambda arn, *given: delete_secret(name(arn), *given)


if __name__ == "__main__":
    mend()
    app.main()
