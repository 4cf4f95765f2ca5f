"""`make run` with real engines and real databases, whose services are `stub_app`: the supervisor alone is on trial."""

import sys
from unittest.mock import patch

import deploy.run
import deploy.services

_uvicorn = deploy.services.uvicorn


def _stub(_: str, host: str, port: int) -> list[str]:
    return _uvicorn("tests.deploy.stub_app:app", host, port)


if __name__ == "__main__":
    with patch("deploy.services.uvicorn", _stub), patch("deploy.bring_up.PREPARE", "tests.deploy.stub_prepare"):
        sys.exit(deploy.run.main())
