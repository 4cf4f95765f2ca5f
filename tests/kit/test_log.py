"""What libraries say about errors of ours stands in no log: their words quote rows, requests and settings."""

import subprocess
import sys

from deploy.settings import ROOT

MARK = "龘靐标记甲 451322192707170002"
TALKATIVE = f"""
import asyncio, logging
from shared.kit.log import hush_libraries, name_service

logging.getLogger("uvicorn").addHandler(logging.StreamHandler())
name_service("treatment")
hush_libraries()

async def fail():
    raise ValueError("DETAIL: Key (name)=({MARK})")

async def nobody_waits():
    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task

asyncio.run(nobody_waits())
try:
    raise KeyError("{MARK}")
except KeyError:
    logging.getLogger("uvicorn.error").exception("Exception in ASGI application: {MARK}")
logging.getLogger("sqlalchemy.pool").warning("row %s", "{MARK}")
"""


def test_a_library_s_words_become_a_line_without_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TALKATIVE], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    said = done.stdout + done.stderr
    assert MARK not in said
    assert "451322" not in said.replace("\\u", "")
    lines = done.stderr.strip().splitlines()
    assert [line for line in lines if '"error_type":"ValueError"' in line and "asyncio" in line], said
    assert [line for line in lines if '"error_type":"KeyError"' in line and "uvicorn.error" in line], said
    assert len(lines) == 3, said


def test_a_missing_setting_does_not_show_the_others() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from contract_service.settings import Settings; Settings.load()"],
        cwd=ROOT,
        env={"DATA_KEYS": "MARKED-KEY", "CONTRACT_SIGNING_KEYS": "MARKED-KEY", "NATS_URL": "nats://u:MARKED-KEY@x"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "CONTRACT_DATABASE_URL" in done.stderr or "database_url" in done.stderr, done.stderr
    assert "MARKED" not in done.stderr
