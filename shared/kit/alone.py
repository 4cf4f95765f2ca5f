"""A service's worker as a process of its own, beside services started with ``…_RUN_WORKER=false``.

``python -m shared.kit.alone treatment_service.main`` takes the app that the module calls ``app``.
"""

import asyncio
import importlib
import signal
import sys

from fastapi import FastAPI

from shared.kit.worker import Worker


def run_alone(app: FastAPI) -> None:
    """Run a service's worker, without its HTTP side, until it is told to stop."""

    async def run() -> None:
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        async with app.router.lifespan_context(app):
            worker: Worker = app.state.worker
            # Those who commit are other processes: nothing that waits is in anybody's hand here.
            worker.relay.left_seconds = 0
            if not worker.started:
                worker.start()
            await stopped.wait()

    asyncio.run(run())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m shared.kit.alone treatment_service.main")
    run_alone(importlib.import_module(sys.argv[1]).app)
