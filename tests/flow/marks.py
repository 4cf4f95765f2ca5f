"""Values that can't be mistaken for anything else, every form in which they might leak, and where to look for them."""

import asyncio
import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
import nats

from deploy.settings import SERVICES
from tests.flow.conftest import Caller, System

Found = list[str]
# Rows of all counties, should the owner be bound by row-level security too.
SEES_ALL = {"app.service": "on"}


def forms(value: str) -> set[bytes]:
    """The forms in which a value might stand somewhere: as it is, escaped, encoded, of full width, in hexadecimal."""
    raw, texts = value.encode(), {value, value.lower(), value.upper()}
    if value[:17].isdigit():
        # The form of before 1999: without century and check digit.
        texts |= {value[:6] + value[8:17], value.translate({ord(str(d)): 0xFF10 + d for d in range(10)})}
    found = {text.encode() for text in texts}
    for text in texts:
        everything = "".join(f"%{byte:02X}" for byte in text.encode())
        found |= {quote(text, safe="").encode(), everything.encode(), everything.lower().encode()}
        escaped = "".join(f"\\u{ord(character):04x}" for character in text)
        found |= {json.dumps(text)[1:-1].encode(), escaped.encode(), escaped.upper().replace("\\U", "\\u").encode()}
    found |= {raw.hex().encode(), raw.hex().upper().encode()}
    return found | set(_in_base64(raw))


def _in_base64(raw: bytes) -> Iterator[bytes]:
    """What of it stands in the base64 of any longer text that holds it, at each of three alignments."""
    for before, begun in ((0, 0), (1, 2), (2, 3)):
        whole = base64.b64encode(bytes(before) + raw)
        core = whole[begun : (before + len(raw)) * 8 // 6]
        yield core
        yield core.replace(b"+", b"-").replace(b"/", b"_")


class Marks:
    """Marked values by a name that may be shown when one is found."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = dict(values)
        self._forms: dict[str, set[bytes]] = {}

    def add(self, name: str, value: str) -> str:
        """One more value, made while the test runs: a token, a first password."""
        self.values[name] = value
        return value

    def within(self, content: bytes) -> list[str]:
        """The names of the values that stand in a content, in whatever form."""
        for name, value in self.values.items():
            if name not in self._forms:
                self._forms[name] = forms(value)
        return [name for name, known in self._forms.items() if any(form in content for form in known)]


class Heard:
    """Every answer somebody got: method, path as the test names it, status, and all that was in it."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, int, bytes]] = []

    def listen(self, client: httpx.Client) -> None:
        """Keep what this client is answered from now on."""

        def keep(answer: httpx.Response) -> None:
            head = "\n".join(f"{name}: {value}" for name, value in answer.headers.multi_items())
            path = answer.request.url.path
            self.answers.append((f"{answer.request.method} {path}", answer.status_code, head.encode() + answer.read()))

        client.event_hooks = {"response": [keep]}


def in_files(places: Iterable[Path], marks: Marks) -> Found:
    """Which values stand in which files."""
    return [f"{path}: {name}" for path in places if path.is_file() for name in marks.within(path.read_bytes())]


def in_answers(heard: Heard, marks: Marks, allowed: Mapping[tuple[str, int], set[str]]) -> Found:
    """Which values were answered where they may not be. ``allowed``: by beginning of the path and status."""
    found = []
    for what, status, content in heard.answers:
        may = set().union(
            *(names for (begin, code), names in allowed.items() if what.startswith(begin) and status == code)
        )
        found += [f"{status} to {what}: {name}" for name in marks.within(content) if name not in may]
    return found


def owner_url(system: System, service: str) -> str:
    """A service's database as the owner of its tables."""
    words = json.loads((system.data / "secrets" / "passwords.json").read_text(encoding="utf-8"))
    port = json.loads((system.data / "ports.json").read_text(encoding="utf-8"))["postgres"]
    return f"postgresql://{service}_owner:{words[f'{service}_owner']}@127.0.0.1:{port}/{service}"


def in_databases(system: System, marks: Marks, allowed: Mapping[str, set[str]]) -> Found:
    """Which values stand in which column of which database. ``allowed``: by ``service.table.column``."""

    return [
        f"{place}: {name}"
        for place, content in contents(system)
        for name in marks.within(content)
        if name not in allowed.get(place, set())
    ]


def contents(system: System) -> list[tuple[str, bytes]]:
    """All that stands in each column of each table: ``service.table.column`` and its bytes."""

    async def look() -> list[tuple[str, bytes]]:
        found = []
        for service in SERVICES:
            owner = await asyncpg.connect(owner_url(system, service), server_settings=SEES_ALL)
            found += [(f"{service}.{column}", content) for column, content in await _columns(owner)]
            await owner.close()
        return found

    return asyncio.run(look())


async def _columns(owner: asyncpg.Connection) -> list[tuple[str, bytes]]:
    """Every column of every table with all that stands in it: bytes as they are, all else as text."""
    tables = await owner.fetch(
        "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
    )
    found = []
    for (table,) in tables:
        columns = await owner.fetch(
            "select attname, atttypid = 'bytea'::regtype from pg_attribute "
            "where attrelid = $1::text::regclass and attnum > 0 and not attisdropped",
            table,
        )
        for name, is_bytes in columns:
            asked = f'"{name}"' if is_bytes else f'"{name}"::text'
            rows = await owner.fetch(f'select {asked} from "{table}" where "{name}" is not null')
            content = b"\n".join(row[0] if is_bytes else row[0].encode() for row in rows)
            found.append((f"{table}.{name}", content))
    return found


def in_streams(system: System, marks: Marks) -> Found:
    """Which values stand in which message of which stream."""

    async def look() -> Found:
        word = json.loads((system.data / "secrets" / "passwords.json").read_text(encoding="utf-8"))["nats"]
        port = json.loads((system.data / "ports.json").read_text(encoding="utf-8"))["nats"]
        client = await nats.connect(f"nats://three_batches:{word}@127.0.0.1:{port}")
        found, seen = [], 0
        for info in await client.jetstream().streams_info():
            for number in range(info.state.first_seq, info.state.last_seq + 1):
                message = await client.jetstream().get_msg(str(info.config.name), number)
                content = (message.data or b"") + str(message.headers).encode() + str(message.subject).encode()
                found += [f"{message.subject} {number}: {name}" for name in marks.within(content)]
                seen += 1
        await client.close()
        assert seen > 0, "no message was looked at"
        return found

    return asyncio.run(look())


def heard_by(heard: Heard, caller: Caller) -> Caller:
    """The caller, his answers kept."""
    heard.listen(caller)
    return caller


def rows_of(system: System, service: str, query: str, *given: Any) -> list[Any]:
    """What a query finds in a service's database."""

    async def ask() -> list[Any]:
        owner = await asyncpg.connect(owner_url(system, service), server_settings=SEES_ALL)
        try:
            return list(await owner.fetch(query, *given))
        finally:
            await owner.close()

    return asyncio.run(ask())
