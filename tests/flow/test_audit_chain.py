"""The audit chain through the running system: sealed within a second, verified, printed, and a change named."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import asyncpg

from tests.flow.conftest import ROOT, System
from tests.flow.people import BILLS, HOSPITAL, a_bill, a_resident

SEALED_WITHIN_SECONDS = 5


def run(system: System, module: str, *arguments: str) -> tuple[int, str]:
    """A verb of the Makefile: its exit code, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, "THREE_BATCHES_DATA": str(system.data)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def as_owner(system: System, statement: str) -> None:
    """What a database administrator of the county could do."""
    passwords = json.loads((system.data / "secrets" / "passwords.json").read_text(encoding="utf-8"))
    port = json.loads((system.data / "ports.json").read_text(encoding="utf-8"))["postgres"]

    async def go() -> None:
        word = passwords["treatment_owner"]
        owner = await asyncpg.connect(
            host="127.0.0.1", port=port, user="treatment_owner", password=word, database="treatment"
        )
        await owner.execute(statement)
        await owner.close()

    asyncio.run(go())


def test_what_happened_is_sealed_printed_and_any_change_of_it_is_named(system: System, tmp_path: Path) -> None:
    patient = a_resident()
    assert system.user("poverty_office").create("/contract/v1/residents", patient).status_code == 201
    made = system.client(HOSPITAL).create(BILLS, a_bill("H45022300001", patient), Prefer="wait=10").json()
    auditor = system.user("auditor")
    deadline = time.monotonic() + SEALED_WITHIN_SECONDS
    while (told := auditor.get("/treatment/v1/audit/verification").json())["unsealed"] > 1:
        assert time.monotonic() < deadline, told
    assert told["rows"] > 0
    code, printed = run(system, "deploy.audit_heads")
    assert code == 0, printed
    assert printed.count("  1  ") >= 3, printed
    heads = tmp_path / "heads.txt"
    heads.write_text(printed, encoding="utf-8")
    code, said = run(system, "deploy.verify_audit", "--heads", str(heads))
    assert code == 0, said
    assert "the audit trail is as it was sealed; 3 printed heads compared" in said

    proof = auditor.get("/treatment/v1/audit", params={"object_id": made["discharge_id"]}).json()["items"][-1]
    where = f"where seq = {proof['seq']}"
    as_owner(system, f"update audit set caller = 'nobody' {where}")
    code, said = run(system, "deploy.verify_audit")
    assert code == 1
    assert "treatment: row_changed: " in said
    assert f"seq {proof['seq']}: " in said
    as_owner(system, f"update audit set caller = '{proof['caller']}' {where}")
    code, said = run(system, "deploy.verify_audit", "--heads", str(heads))
    assert code == 0, said

    forged = heads.read_text(encoding="utf-8").splitlines()
    line = next(line for line in forged if "safety-net" in line)
    chain = line.split()[4]
    heads.write_text(line.replace(chain, chain[::-1]), encoding="utf-8")
    code, said = run(system, "deploy.verify_audit", "--heads", str(heads))
    assert code == 1
    assert "head_differs" in said
