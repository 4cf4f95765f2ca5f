"""A service's worker that is killed at a stopping point: ``python -m tests.faults.killed POINT TIMES SERVICE_PACKAGE``.

SIGKILL comes when the point is passed for the given time, so that the first ones go well.
"""

import importlib
import os
import signal
import sys
from typing import Any

from shared.kit.alone import run_alone
from tests.faults.seams import Seams


def main() -> None:
    """Run the worker alone until it dies."""
    point, times, package = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    left = times

    def at(passed: str, _: Any) -> None:
        nonlocal left
        if passed == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    with Seams(at).watched():
        run_alone(importlib.import_module(f"{package}.main").app)


if __name__ == "__main__":
    main()
