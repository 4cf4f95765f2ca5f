"""`make run` under trial: real engines, services that only live and die, and what can go wrong around them."""

import asyncio
import os
import re
import signal
import socket
import stat
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import asyncpg
import pytest

from deploy.databases import create_database
from deploy.engines import start_nats, start_postgres
from deploy.settings import SERVICES
from deploy.state import free_port
from tests.deploy.conftest import Run, Starts, alive, listens, wait_until

CHILDREN = {"postgres", "nats", "contract", "treatment", "safety-net", "gateway"}
UP = "Ctrl-C stops it"


def everything_gone(run: Run, pids: dict[str, int]) -> None:
    """None of these processes runs and none of their ports is open."""
    wait_until(lambda: not any(alive(pid) for pid in pids.values()), f"the end of {pids}")
    ports = [*run.state.read("ports.json").values(), run.port]
    assert not [port for port in ports if listens(port)]


def the_one_line(run: Run) -> str:
    """What it said when it could not run: one line beside its progress, and no traceback."""
    assert run.end_code() == 1
    said = run.said()
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("·")]
    assert len(lines) == 1, said
    return lines[0]


def another_gateway(run: Run, before: int) -> int:
    """The process number of the gateway that took the place of this one, once it listens."""
    found = wait_until(lambda: [pid for pid in [run.children()["gateway"]] if pid != before], "another gateway")
    wait_until(lambda: listens(run.port), "the gateway's port")
    return int(found[0])


def test_interrupt_stops_everything_in_order_though_it_came_ignored(start: Starts) -> None:
    run = start()
    run.until_said(UP)
    pids = run.children()
    assert set(pids) == CHILDREN
    # Each child is a process group of its own: Ctrl-C on a terminal reaches the supervisor alone.
    assert {os.getpgid(pid) for pid in pids.values()} == set(pids.values())
    assert run.end(signal.SIGINT) == 0
    stops = re.findall(r"stopping (the gateway|the services|NATS|PostgreSQL)", run.said())
    assert stops == ["the gateway", "the services", "NATS", "PostgreSQL"]
    everything_gone(run, pids)
    assert "database system is shut down" in (run.state.logs / "postgres.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_stop_it_too_even_while_it_starts(start: Starts, number: int) -> None:
    run = start()
    run.until_said("starting PostgreSQL")
    assert run.end(number) == 0
    everything_gone(run, run.children())


def test_a_killed_supervisor_leaves_no_process_and_no_damage(start: Starts) -> None:
    first = start()
    first.until_said(UP)
    pids = first.children()
    asyncio.run(_write(first))
    first.process.kill()
    first.process.wait()
    # At once, while the first one's children are still on their way out.
    second = start()
    second.until_said(UP)
    assert not any(alive(pid) for pid in pids.values())
    assert asyncio.run(_read(second)) == "committed"
    log = (second.state.logs / "postgres.log").read_text()
    assert "database system was not properly shut down" not in log
    assert second.end() == 0


def test_make_itself_may_be_killed_too(start: Starts, folder: Path) -> None:
    makefile = folder / "Makefile"
    makefile.write_text(f"run:\n\t@exec {sys.executable} -m tests.deploy.stub_house\n")
    run = start(argv=["make", "-f", str(makefile), "run"])
    run.until_said(UP)
    pids = run.children()
    assert run.end(signal.SIGKILL) == -signal.SIGKILL
    everything_gone(run, pids)
    wait_until(lambda: "stopping PostgreSQL … " in run.said(), "an orderly end")


def test_a_service_that_dies_is_started_again(start: Starts) -> None:
    run = start()
    run.until_said(UP)
    before = run.children()["gateway"]
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(f"http://127.0.0.1:{run.port}/die", timeout=5)
    run.until_said("gateway ended (exit code 3); starting it again")
    another_gateway(run, before)
    assert run.end() == 0


@pytest.mark.parametrize("engine", ["postgres", "nats"])
def test_an_engine_that_is_killed_is_started_again_on_its_port(start: Starts, engine: str) -> None:
    run = start()
    run.until_said(UP)
    port = run.state.read("ports.json")[engine]
    os.kill(run.children()[engine], signal.SIGKILL)
    run.until_said(f"{engine} ended (signal 9); starting it again")
    wait_until(lambda: listens(port), f"{engine} on its port")
    assert run.end() == 0
    everything_gone(run, run.children())


@pytest.mark.long
def test_a_service_that_keeps_dying_ends_everything(start: Starts) -> None:
    run = start()
    run.until_said(UP)
    pid = 0
    for _ in range(6):
        pid = another_gateway(run, pid)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: not alive(pid) and not listens(run.port), "its end")  # type: ignore[misc]
    assert run.end_code() == 1
    assert "gateway ended 6 times within a minute" in run.said()
    everything_gone(run, run.children())


def test_a_service_that_cannot_start_is_named_with_its_log(start: Starts) -> None:
    run = start(STUB_DIES_AT_START="yes")
    line = the_one_line(run)
    assert "ended at start (exit code 4)" in line
    assert ".log" in line


def test_two_at_once_on_one_state_folder(start: Starts) -> None:
    first = start()
    first.until_said(UP)
    line = the_one_line(start(GATEWAY_PORT=str(free_port())))
    assert f"process {first.process.pid}" in line
    assert "THREE_BATCHES_DATA" in line
    assert first.end() == 0


def test_a_taken_gateway_port_is_named_before_anything_starts(start: Starts) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        run = start(GATEWAY_PORT=str(port))
        line = the_one_line(run)
    assert f"port {port} is taken" in line
    assert "GATEWAY_PORT=" in line
    assert not (run.state.folder / "postgres").exists()


def test_a_taken_engine_port_is_left_to_the_stranger(start: Starts) -> None:
    first = start()
    first.until_said(UP)
    assert first.end() == 0
    before = first.state.read("ports.json")
    with socket.create_server(("127.0.0.1", before["postgres"])), socket.create_server(("127.0.0.1", before["nats"])):
        second = start()
        second.until_said(UP)
        after = second.state.read("ports.json")
        assert after["postgres"] != before["postgres"]
        assert after["nats"] != before["nats"]
        assert after["contract"] == before["contract"]
        assert second.end() == 0


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("GATEWAY_PORT", "eighty", "GATEWAY_PORT must be a number"),
        ("GATEWAY_HOST", "203.0.113.7", "GATEWAY_HOST 203.0.113.7 is no address of this machine"),
        ("NATS_URL", "http://127.0.0.1:4222", "NATS_URL must begin with nats://"),
        ("CONTRACT_DATABASE_URL", "mysql://somebody:pass-word-1@db/contract", "CONTRACT_DATABASE_URL must begin with"),
        ("TREATMENT_DATABASE_URL", "postgresql://somebody:pass-word-1@db", "TREATMENT_DATABASE_URL names no database"),
        ("SAFETY_NET_OWNER_DATABASE_URL", "postgresql://a:b@db/c", "set without SAFETY_NET_DATABASE_URL"),
        ("CONTRACT_DATABASE_URL_FILE", "no-such-file", "CONTRACT_DATABASE_URL_FILE: no-such-file can't be read"),
        ("THREE_BATCHES_DEMO", "perhaps", "THREE_BATCHES_DEMO must be yes or no"),
        ("SAFETY_NET_PATIENT_WAIT_SECONDS", "soon", "SAFETY_NET_PATIENT_WAIT_SECONDS: Input should be a valid number"),
        ("NATS_STREAM_REPLICAS", "many", "NATS_STREAM_REPLICAS: Input should be a valid integer"),
        ("NATS_STREAM_REPLICAS", "3", "NATS_STREAM_REPLICAS=3 needs a cluster"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(start: Starts, setting: str, value: str, expected: str) -> None:
    run = start(**{setting: value})
    assert expected in the_one_line(run)
    assert "pass-word-1" not in run.said()


def test_engines_that_were_brought_along_replace_the_embedded_ones(start: Starts, folder: Path) -> None:
    postgres = start_postgres(folder / "outside-postgres")
    broker = start_nats(folder / "outside-nats")
    try:
        run = start(**asyncio.run(_outside_databases(postgres.admin_url)), NATS_URL=broker.url)
        run.until_said(UP)
        assert set(run.children()) == CHILDREN - {"postgres", "nats"}
        assert not (run.state.folder / "postgres").exists()
        assert run.end() == 0
        half = start(NATS_URL=broker.url)
        half.until_said(UP)
        assert set(half.children()) == CHILDREN - {"nats"}
        assert half.end() == 0
        refused = start(NATS_URL=broker.url.replace(broker.password, "wrong-word"))
        line = the_one_line(refused)
        assert line.startswith("make run: NATS_URL")
        assert "Authorization" in line
        assert "wrong-word" not in refused.said()
    finally:
        broker.stop()
        postgres.stop()


def test_secrets_are_private_and_stay_the_same(start: Starts) -> None:
    first = start()
    first.until_said(UP)
    private = [first.state.credentials, *first.state.secrets.iterdir()]
    assert len(private) == 5
    before = {path: path.read_bytes() for path in private}
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert stat.S_IMODE(first.state.secrets.stat().st_mode) == 0o700
    assert first.end() == 0
    began = time.monotonic()
    second = start()
    second.until_said(UP)
    assert time.monotonic() - began < 30
    assert {path: path.read_bytes() for path in private} == before
    assert second.end() == 0


async def _outside_databases(admin_url: str) -> dict[str, str]:
    """Databases somebody brought along, each with one role for everything: the settings that name them."""
    settings = {}
    for service in SERVICES.values():
        urls = await create_database(admin_url, service.name, name=f"outside_{service.name}")
        settings[f"{service.prefix}_DATABASE_URL"] = urls.owner_url.replace("postgresql://", "postgresql+asyncpg://")
    return settings


async def _owner(run: Run) -> asyncpg.Connection:
    words = run.state.read("secrets/passwords.json")
    return await asyncpg.connect(
        host="127.0.0.1",
        port=run.state.read("ports.json")["postgres"],
        user="treatment_owner",
        password=words["treatment_owner"],
        database="treatment",
    )


async def _write(run: Run) -> None:
    owner = await _owner(run)
    await owner.execute("create table kept (what text); insert into kept values ('committed')")
    await owner.close()


async def _read(run: Run) -> str:
    owner = await _owner(run)
    found = await owner.fetchval("select what from kept")
    await owner.close()
    return str(found)
