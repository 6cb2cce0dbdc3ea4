"""The local run: API Gateway and the Lambda runtime in one process, the deployed handlers in processes of their own."""

import time

BEGAN = time.monotonic()
