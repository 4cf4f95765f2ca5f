"""The README's commands work when they are pasted."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.flow.conftest import ROOT, System


def shell_blocks() -> list[str]:
    return re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's commands need curl")
def test_every_command_works_when_pasted(system: System, tmp_path: Path) -> None:
    blocks = shell_blocks()
    assert len(blocks) >= 8
    script = "\n".join(f"echo '### block {n}'\n{block}" for n, block in enumerate(blocks))
    script = script.replace("http://127.0.0.1:8000", system.url).replace(".data/", f"{system.data}/")
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.split("### block ")
    assert '"safety_net": "3200.00"' in said[2]
    assert '"clause": "A3-20"' in said[3]
    assert "三联单" in said[3] or "告知单" in said[3]
    assert "%PDF-" in said[3]
    assert "next_cursor" in said[4]
    assert '"equal": true' in said[6]
    assert "测试甲" in said[7]
    assert "luzhai/2018.1" in said[8]
    assert "urn:three-batches:problem" not in done.stdout
