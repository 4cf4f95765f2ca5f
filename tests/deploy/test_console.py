"""What the person at the terminal reads."""

import sys
from pathlib import Path

import pytest

from deploy.console import is_ordinary, readable, table, width
from deploy.processes import Tail
from deploy.state import State
from deploy.supervisor import AT_ONCE, Supervisor


def test_a_chinese_character_takes_two_columns() -> None:
    assert width("鹿寨 ab") == 7
    rows = table(["乡镇", "n"], [["鹿寨镇", "1"], ["a", "22"]], right=frozenset({1})).splitlines()
    assert rows == ["乡镇     n", "──────  ──", "鹿寨镇   1", "a       22"]


def test_a_json_log_line_becomes_one_a_person_can_read() -> None:
    line = '{"ts":"2018-08-11T09:30:05.123+08:00","level":"info","event":"request","service":"treatment",'
    line += '"request_id":"abc","method":"POST","status":201}\n'
    assert readable(line) == "09:30:05 info    request method=POST status=201 request_id=abc"
    assert is_ordinary(line)
    assert readable("Traceback (most recent call last):") == "Traceback (most recent call last):"
    assert readable('{"cut off') == '{"cut off'
    assert not is_ordinary('{"level":"error","event":"x"}')


def logged(number: int, level: str = "info") -> str:
    return f'{{"ts":"2018-08-11T09:30:05.123+08:00","level":"{level}","event":"request","count":{number}}}\n'


def test_of_a_flood_of_lines_a_person_sees_the_first_and_everything_grave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[str] = []
    monkeypatch.setattr(sys.stdout, "write", writes.append)
    supervisor = Supervisor(State(tmp_path))
    logs = {name: tmp_path / f"{name}.log" for name in ("postgres", "treatment", "gateway")}
    supervisor._tails = [(name, Tail(log), name == "postgres") for name, log in logs.items()]

    def shown(**lines: str) -> list[str]:
        """What a look shows after this was logged."""
        writes.clear()
        for name, text in lines.items():
            with logs[name].open("a") as file:
                file.write(text)
        supervisor.pump()
        assert len(writes) <= 1, "in one piece"
        return "".join(writes).splitlines()

    usual = "".join(logged(number) for number in range(100))
    flood = logged(-1) + "Traceback (most recent call last):\n"
    flood += usual + logged(7, "error") + usual + logged(8, "warning")
    assert shown(treatment=flood) == [
        "treatment  Traceback (most recent call last):",
        "treatment  09:30:05 error   request count=7",
        "treatment  09:30:05 warning request count=8",
    ], "while it starts nothing ordinary, and nobody misses it"
    supervisor.quiet = False
    assert shown() == []
    assert shown(postgres="LOG: checkpoint\nPANIC: no space\n", treatment=flood, gateway=logged(1)) == [
        "postgres   PANIC: no space",
        "treatment  09:30:05 info    request count=-1",
        "treatment  Traceback (most recent call last):",
        *(f"treatment  09:30:05 info    request count={number}" for number in range(AT_ONCE - 1)),
        "treatment  09:30:05 error   request count=7",
        "treatment  09:30:05 warning request count=8",
        f"treatment  … and {201 - AT_ONCE} more in {logs['treatment']}",
        "gateway    09:30:05 info    request count=1",
    ]
    assert len(shown(gateway=logged(0) * AT_ONCE)) == AT_ONCE, "as many as can be read: none is left out"


def test_a_log_is_followed_by_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.write_text("before\n")
    tail = Tail(log)
    assert tail.lines() == []
    with log.open("a") as file:
        file.write("one\ntw")
        file.flush()
        assert tail.lines() == ["one"]
        file.write("o\n")
        file.flush()
    assert tail.lines() == ["two"]
    log.write_text("anew\n")
    assert tail.lines() == ["anew"]
