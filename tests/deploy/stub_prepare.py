"""Real databases and roles without their tables: migrations take a second each, and the stubs ask none."""

import sys
from typing import Any
from unittest.mock import patch

import deploy.prepare


async def _no_migration(*_: Any) -> bool:
    return False


if __name__ == "__main__":
    with patch("deploy.prepare.migrate", _no_migration):
        sys.exit(deploy.prepare.main())
