"""`make run` with real engines and real databases, whose services are `stub_app`: the supervisor alone is on trial."""

import sys
from typing import Any
from unittest.mock import patch

import deploy.run
import deploy.services

_uvicorn = deploy.services.uvicorn


def _stub(_: str, host: str, port: int) -> list[str]:
    return _uvicorn("tests.deploy.stub_app:app", host, port)


async def _no_migration(*_: Any) -> bool:
    return False


if __name__ == "__main__":
    with patch("deploy.services.uvicorn", _stub), patch("deploy.bring_up.migrate", _no_migration):
        sys.exit(deploy.run.main())
