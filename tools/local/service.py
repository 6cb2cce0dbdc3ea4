"""The servers and the workers in one event loop, from the first worker's start until a signal."""

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any

from tools import sandbox
from tools.local.asgi import Application, Server
from tools.local.gateway import Gateway
from tools.local.lambda_runtime import Function, Runtime


async def serve(
    functions: Mapping[str, Function],
    environment: Mapping[str, str],
    *,
    listener: socket.socket,
    buyer: socket.socket,
    log: Path,
    ready: Callable[[], None],
    pages: Mapping[str, Application] = {},
    unasked: Callable[[Runtime], Iterable[Coroutine[Any, Any, None]]] = lambda _: (),
) -> None:
    """Serves on `listener` until SIGINT or SIGTERM, and the sandbox buyer on `buyer`; calls `ready` when the first
    request can be sent. From then on what is `unasked` runs, too: it calls functions without a request.

    `pages` are the local run's own, by their paths. Requests that are being answered get a second to end. Raises
    `FunctionDoesNotStart`.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    runtime = Runtime(functions, environment, log=log)
    runtime_api = Server(runtime.application)
    gateway = Server(Gateway(runtime, pages).application)

    calls: list[asyncio.Task[None]] = []
    sandboxed = await sandbox.serve(sandbox.Sandbox(), buyer)
    inside = asyncio.create_task(runtime_api.serve(runtime.listeners))
    kept = asyncio.create_task(runtime.keep())
    started = asyncio.create_task(runtime.started())
    stopped = asyncio.create_task(stop.wait())
    try:
        await _first_of(started, stopped, kept, inside)
        if started.done() and not stop.is_set():
            ready()
            calls = [asyncio.create_task(call) for call in unasked(runtime)]
            outside = asyncio.create_task(gateway.serve([listener]))
            await _first_of(outside, stopped, kept, inside)
            gateway.should_exit = True
            await outside
        if kept.done():
            kept.result()
    finally:
        for task in (kept, started, stopped, *calls):
            task.cancel()
        await asyncio.wait((kept,))
        sandboxed.close()
        runtime_api.should_exit = True
        await inside


async def _first_of(*tasks: "asyncio.Task[Any]") -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
