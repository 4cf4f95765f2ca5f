"""The embedded engines by themselves: ready means ours, stopping loses nothing, a dead supervisor leaves nothing."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import asyncpg
import nats
import pytest

from deploy.cluster import ELSEWHERE
from deploy.console import Unusable
from deploy.engines import start_nats, start_postgres
from deploy.settings import ROOT
from tests.deploy.conftest import alive, wait_until

PROGRAM = """
import sys, time
from pathlib import Path
from deploy.engines import start_nats, start_postgres

folder = Path(sys.argv[1])
postgres, broker = start_postgres(folder / "postgres"), start_nats(folder / "nats")
sys.stdout.write(f"{postgres.child.process.pid} {broker.child.process.pid} {postgres.admin_url} {broker.url}\\n")
sys.stdout.flush()
time.sleep(600)
"""


def test_a_strangers_server_on_the_port_is_not_taken_for_ours(folder: Path) -> None:
    stranger = start_postgres(folder / "stranger")
    ours = start_postgres(folder / "ours", port=stranger.port)
    assert ours.port != stranger.port
    assert asyncio.run(_ask(ours.admin_url, "show port")) == str(ours.port)
    ours.stop()
    stranger.stop()
    stranger_broker = start_nats(folder / "stranger-nats")
    broker = start_nats(folder / "ours-nats", port=stranger_broker.port)
    assert broker.port != stranger_broker.port
    assert broker.answers()
    broker.stop()
    assert not broker.answers()
    stranger_broker.stop()


def test_postgres_is_for_this_machine_and_for_known_accounts_only(folder: Path) -> None:
    engine = start_postgres(folder / "postgres")
    asked = "select concat_ws(' ', current_setting('listen_addresses'), current_setting('unix_socket_directories'))"
    assert asyncio.run(_ask(engine.admin_url, asked)) == "127.0.0.1 "
    rules = "select string_agg(distinct auth_method, ',') from pg_hba_file_rules"
    assert asyncio.run(_ask(engine.admin_url, rules)) == "scram-sha-256"
    assert asyncio.run(_ask(engine.admin_url, "show fsync")) == "on"
    assert asyncio.run(_ask(engine.admin_url, "show synchronous_commit")) == "on"
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(_ask(engine.admin_url.replace(engine.password, "wrong"), "select 1"))
    engine.stop()


def test_nats_asks_for_a_password_and_syncs_always(folder: Path) -> None:
    engine = start_nats(folder / "nats")
    assert '"sync_interval": "always"' in (engine.folder / "nats.conf").read_text()
    assert (engine.folder / "nats.conf").stat().st_mode & 0o777 == 0o600

    async def without_password() -> None:
        async def quiet(_: Exception) -> None:
            """The refusal is what is expected."""

        address = f"nats://127.0.0.1:{engine.port}"
        await nats.connect(address, allow_reconnect=False, max_reconnect_attempts=1, error_cb=quiet)

    with pytest.raises(Exception, match="Authorization Violation"):
        asyncio.run(without_password())
    engine.stop()


def test_sigkill_of_the_supervisor_leaves_nothing_and_loses_nothing(folder: Path) -> None:
    supervisor = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert supervisor.stdout is not None
    postgres_pid, broker_pid, admin_url, broker_url = supervisor.stdout.readline().split()
    asyncio.run(_ask(admin_url, "create table kept as select 42 as n"))
    asyncio.run(_publish(broker_url))
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()
    wait_until(lambda: not alive(int(postgres_pid)) and not alive(int(broker_pid)), "the end of both engines")
    assert "database system is shut down" in (folder / "postgres.log").read_text()
    postgres, broker = start_postgres(folder / "postgres"), start_nats(folder / "nats")
    assert asyncio.run(_ask(postgres.admin_url, "select n from kept")) == "42"
    assert asyncio.run(_messages(broker.url)) == 1
    broker.stop()
    postgres.stop()


def test_data_of_another_postgresql_are_named_and_not_touched(folder: Path) -> None:
    engine = start_postgres(folder / "postgres")
    engine.stop()
    (engine.cluster.folder / "PG_VERSION").write_text("13\n")
    with pytest.raises(Unusable, match="made by PostgreSQL 13"):
        start_postgres(folder / "postgres")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_root_opens_no_folder_for_postgresql(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    engine = start_postgres(closed / "postgres")
    assert engine.cluster.folder.is_relative_to(ELSEWHERE)
    assert closed.stat().st_mode & 0o777 == 0o700
    asyncio.run(_ask(engine.admin_url, "create table kept as select 42 as n"))
    engine.stop()
    again = start_postgres(closed / "postgres")
    assert asyncio.run(_ask(again.admin_url, "select n from kept")) == "42"
    again.discard()
    assert not again.cluster.folder.exists()


def test_a_stranger_that_is_no_postgresql_at_all(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        engine = start_postgres(folder / "postgres", port=stranger.getsockname()[1])
    assert asyncio.run(_ask(engine.admin_url, "select 1")) == "1"
    engine.stop()


async def _ask(url: str, statement: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval(statement))
    finally:
        await connection.close()


async def _publish(url: str) -> None:
    client = await nats.connect(url)
    stream = client.jetstream()
    await stream.add_stream(name="KEPT", subjects=["kept.>"])
    await stream.publish("kept.one", b"1")
    await client.close()


async def _messages(url: str) -> int:
    client = await nats.connect(url)
    info = await client.jetstream().stream_info("KEPT")
    await client.close()
    return int(info.state.messages)
