"""A function that does what the test says, for tests of the local runtime."""

import os
import time
from typing import Any


def lambda_handler(event: dict[str, Any], context: Any) -> Any:
    """Answers the event itself and who answered, unless the path's last word is one of these."""
    match event["rawPath"].rpartition("/")[2]:
        case "raise":
            raise RuntimeError("as asked")
        case "sleep":
            time.sleep(60)
        case "die":
            os._exit(1)
        case "malformed":
            return {"statusCode": "teapot"}
        case "teapot":
            return {
                "statusCode": 418,
                "headers": {"X-Pot": "tea"},
                "cookies": ["a=1", "b=2"],
                "body": "dGVh",
                "isBase64Encoded": True,
            }
    return {"event": event, "function": context.function_name, "request_id": context.aws_request_id, "pid": os.getpid()}
