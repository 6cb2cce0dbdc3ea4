"""The Lambda service: a queue of events per function, and real `awslambdaric` processes that take from it.

Each worker has a port of its own for the Lambda Runtime API, which says who is asking. (A path prefix in
AWS_LAMBDA_RUNTIME_API would do for events, but awslambdaric cannot report a failed start to an address with a path.)
"""

import asyncio
import json
import re
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tools.children import die_with_parent, tail
from tools.engine import REGION, ROOT
from tools.local import asgi

ACCOUNT_ID = "000000000000"
RUNTIME_API = re.compile(r"/2018-06-01/runtime/(?:invocation/)?([^/]+)(?:/(response|error))?")
ANSWER_BYTES = 6 * 1024 * 1024
STARTS = 3


class Function(NamedTuple):
    """`handler` as Lambda is told it; `workers` is how many requests it answers at once; `environment` is its own, over
    that of all. Nobody waits for one that is not `awaited`: it starts after the others."""

    handler: str
    workers: int
    timeout_seconds: float
    environment: Mapping[str, str] = {}
    awaited: bool = True


class FunctionFailed(Exception):
    """The function raised, or its process ended before it answered."""


class FunctionTimedOut(Exception):
    """The function did not answer in its time and was killed."""


class FunctionDoesNotStart(Exception):
    """Its process ended before it asked for an event, several times running; the message says why."""


@dataclass(eq=False, slots=True)
class _Invocation:
    event: bytes
    answer: asyncio.Future[bytes]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(eq=False, slots=True)
class _Worker:
    function: str
    listener: socket.socket
    first: bool  # of its function's
    process: asyncio.subprocess.Process | None = None
    asked: bool = False  # for an event, since its process was started
    fault: str = ""  # why its process did not start, as it reported it
    asking: "asyncio.Task[None] | None" = None
    invocation: _Invocation | None = None
    deadline: asyncio.TimerHandle | None = None

    def take(self, request_id: str) -> _Invocation | None:
        """The invocation that the worker now ends, unless it was given up."""
        invocation = self.invocation
        if not invocation or invocation.id != request_id:
            return None
        self.forget()
        return None if invocation.answer.done() else invocation

    def forget(self) -> None:
        if self.deadline:
            self.deadline.cancel()
        self.invocation = self.deadline = None

    def kill(self) -> None:
        if self.process and self.process.returncode is None:
            self.process.kill()


class Runtime:
    """A few functions, by name. To be made inside the event loop."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        environment: Mapping[str, str],
        *,
        log: Path,
    ) -> None:
        self._functions = functions
        self._environment = environment
        self._log = log
        self._queues: dict[str, asyncio.Queue[_Invocation]] = {name: asyncio.Queue() for name in functions}
        self._started = {name: asyncio.Event() for name, function in functions.items() if function.awaited}
        made = [
            _Worker(name, asgi.listen(0), first=function.awaited and number == 0)
            for name, function in functions.items()
            for number in range(function.workers)
        ]
        self._workers: dict[int, _Worker] = {worker.listener.getsockname()[1]: worker for worker in made}

    @property
    def listeners(self) -> list[socket.socket]:
        """What `application` must be served on."""
        return [worker.listener for worker in self._workers.values()]

    async def invoke(self, function: str, event: object) -> bytes:
        """The function's answer as JSON. Raises `FunctionFailed` and `FunctionTimedOut`."""
        invocation = _Invocation(json.dumps(event).encode(), asyncio.get_running_loop().create_future())
        self._queues[function].put_nowait(invocation)
        return await invocation.answer

    async def started(self) -> None:
        """Returns when every function that is awaited has a worker that waits for events."""
        for event in self._started.values():
            await event.wait()

    async def keep(self) -> None:
        """Keeps the workers alive until it is canceled; then none is left. Raises `FunctionDoesNotStart`."""
        with self._log.open("ab", buffering=0) as log:
            tasks = [
                asyncio.create_task(self._keep(port, worker, log.fileno())) for port, worker in self._workers.items()
            ]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

    async def _keep(self, port: int, worker: _Worker, log: int) -> None:
        # The first ones have the processors to themselves, so that the service is ready sooner.
        if not worker.first:
            await self.started()
        failures = 0
        while failures < STARTS:
            worker.asked = False
            starting = asyncio.create_task(self._start(port, worker, log))
            try:
                worker.process = await asyncio.shield(starting)
                await worker.process.wait()
            finally:
                worker.process = await starting  # one that was being started ends, too
                worker.kill()
                if worker.asking:
                    worker.asking.cancel()
                if worker.invocation and not worker.invocation.answer.done():
                    worker.invocation.answer.set_exception(FunctionFailed())
                worker.forget()
                await worker.process.wait()
            failures = 0 if worker.asked else failures + 1
        why = worker.fault or f"the end of {self._log} is\n{tail(self._log)}"
        raise FunctionDoesNotStart(f"The function {worker.function} does not start: {why}")

    async def _start(self, port: int, worker: _Worker, log: int) -> asyncio.subprocess.Process:
        name = f"ringpost-{worker.function}"
        environment = {
            **self._environment,
            **self._functions[worker.function].environment,
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}",
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": str(port),
            "LAMBDA_TASK_ROOT": str(ROOT),
            "TZ": ":UTC",
        }
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "awslambdaric", self._functions[worker.function].handler),
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )

    async def application(self, scope: asgi.Message, receive: asgi.Receive, send: asgi.Send) -> None:
        """The Runtime API, as awslambdaric speaks it."""
        worker = self._workers[scope["server"][1]]
        call = RUNTIME_API.fullmatch(scope["path"])
        if call and call[1] == "next":
            await self._next(worker, send)
            return
        content = await asgi.body(receive, ANSWER_BYTES)
        if call and call[1] == "init":
            report = json.loads(content)
            worker.fault = "\n".join([report["errorMessage"], *(frame.rstrip() for frame in report["stackTrace"])])
        elif call and call[2] and (invocation := worker.take(call[1])):
            if call[2] == "response":
                invocation.answer.set_result(content)
            else:
                invocation.answer.set_exception(FunctionFailed())
        await asgi.reply(send, 202, b"{}", [(b"content-type", b"application/json")])

    async def _next(self, worker: _Worker, send: asgi.Send) -> None:
        worker.asked = True
        if started := self._started.get(worker.function):
            started.set()
        worker.asking = asyncio.current_task()
        try:
            invocation = await self._queues[worker.function].get()
            while invocation.answer.done():  # its caller was told that it took too long
                invocation = await self._queues[worker.function].get()
        except asyncio.CancelledError:  # the worker is dead; nobody reads this
            await asgi.reply(send, 410, b"", [])
            return
        finally:
            worker.asking = None
        worker.invocation = invocation
        loop = asyncio.get_running_loop()
        timeout_seconds = self._functions[worker.function].timeout_seconds
        worker.deadline = loop.call_later(timeout_seconds, self._time_out, worker, invocation)
        deadline_ms = int((time.time() + timeout_seconds) * 1000)
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:ringpost-{worker.function}"
        headers = [
            (b"content-type", b"application/json"),
            (b"lambda-runtime-aws-request-id", invocation.id.encode()),
            (b"lambda-runtime-deadline-ms", str(deadline_ms).encode()),
            (b"lambda-runtime-invoked-function-arn", arn.encode()),
        ]
        await asgi.reply(send, 200, invocation.event, headers)

    def _time_out(self, worker: _Worker, invocation: _Invocation) -> None:
        if not invocation.answer.done():
            invocation.answer.set_exception(FunctionTimedOut())
        worker.kill()
