"""What the person at the terminal reads."""

from pathlib import Path

from deploy.console import is_ordinary, readable, table, width
from deploy.processes import Tail


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
