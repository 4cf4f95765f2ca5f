"""How a moment is written: the same text in every answer, event and log line."""

from datetime import UTC, datetime, timedelta, timezone
from random import Random

import pytest

from shared.kit.clock import CHINA, rfc3339


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2018, 8, 11, 9, 30, tzinfo=CHINA), "2018-08-11T09:30:00.000+08:00"),
        (datetime(2018, 8, 11, 1, 30, 0, 999, tzinfo=UTC), "2018-08-11T09:30:00.000+08:00"),
        (datetime(2018, 12, 31, 16, 0, 0, 1000, tzinfo=UTC), "2019-01-01T00:00:00.001+08:00"),
        (datetime(2018, 8, 11, 9, 30, 5, 999_999, tzinfo=CHINA), "2018-08-11T09:30:05.999+08:00"),
        (datetime(1, 1, 1, 0, 0, 0, 120_000, tzinfo=CHINA), "0001-01-01T00:00:00.120+08:00"),
        (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=CHINA), "9999-12-31T23:59:59.999+08:00"),
    ],
)
def test_a_moment_is_written_in_the_countys_time_to_the_millisecond(moment: datetime, text: str) -> None:
    assert rfc3339(moment) == text


def test_a_moment_is_written_as_python_writes_it() -> None:
    draw = Random(7)
    for _ in range(5000):
        zone = timezone(timedelta(minutes=draw.randint(-720, 840)))
        at = datetime.fromtimestamp(draw.uniform(-4e9, 9e9), zone)
        assert rfc3339(at) == at.astimezone(CHINA).isoformat(timespec="milliseconds")
