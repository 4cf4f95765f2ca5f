"""Sends requests as everybody and keeps what was wrong with the answers, the shortest request of each kind."""

import json
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from tests.contract_fuzz.callers import CALLERS
from tests.contract_fuzz.county import County
from tests.contract_fuzz.drawn import requests_of
from tests.contract_fuzz.judge import PROBLEM, Judge
from tests.contract_fuzz.malformed import MARKED, Spoiler
from tests.contract_fuzz.wire import Answered, Asked

UNMET = (401, 403)


class Fuzz:
    """The operations of the county's document, and what came of asking them."""

    def __init__(self, county: County) -> None:
        self.county, self.judge = county, Judge(county.document)
        self.spoilers = {
            f"{method.upper()} {path}": Spoiler(county.document, path, method, county.known)
            for path, item in county.document["paths"].items()
            for method in item
        }
        self.statuses: dict[str, dict[str, int]] = {}
        self.seen: Counter[tuple[str, int]] = Counter()
        self.found: dict[tuple[str, str], tuple[Asked, str, Answered]] = {}

    def everybody(self) -> None:
        """A good request of each operation as each caller; who is let in is remembered."""
        for name, spoiler in self.spoilers.items():
            self.statuses[name] = {who: self.send(name, who, spoiler.good()).status for who in CALLERS}

    def spoilt(self, stride: int = 1) -> None:
        """Every ``stride``-th spoilt request of each operation, by turns as those who are let in."""
        for name, spoiler in self.spoilers.items():
            people = self.let_in(name)
            for number, asked in enumerate(spoiler.every()):
                # Which of them are taken differs from one operation to the next, and is the same in every run.
                if (number + zlib.crc32(name.encode())) % stride == 0:
                    self.send(name, people[number // stride % len(people)], asked)

    def drawn(self, chance: int, count: int) -> None:
        """``count`` requests of each operation that its schema takes, and as many that it does not."""
        for name in self.spoilers:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                self._drawn(name, mode, chance, count)

    def other_methods(self) -> Iterator[str]:
        """What was wrong with the answers to methods that the document does not know."""
        for path, item in self.county.document["paths"].items():
            declared = {method.upper() for method in item}
            method = next(iter(item)).upper()
            people = self.let_in(f"{method} {path}")
            for asked in self.spoilers[f"{method} {path}"].other_methods(declared):
                answer = self.county.ask(people[0], asked)
                refused = 400 <= answer.status < 500 and answer.media_type == PROBLEM
                # The gateway answers OPTIONS itself, and HEAD as it answers GET.
                known = {"OPTIONS": (204,), "HEAD": (200,)}.get(asked.method, ())
                if not refused and answer.status not in known:
                    yield f"{asked.method} {path}: {answer.status} {answer.media_type} {answer.body[:200]!r}"

    def let_in(self, name: str) -> list[str]:
        """Those whom an operation does not turn away, or an administrator when it turns everybody away."""
        return [who for who, status in self.statuses[name].items() if status not in UNMET] or ["administrator"]

    def send(self, name: str, who: str, asked: Asked) -> Answered:
        """Send one request and look at the answer."""
        spoiler = self.spoilers[name]
        if spoiler.method == "PATCH" and spoiler.ETAG in asked.headers.values():
            asked = self._with_etag(who, asked, spoiler.ETAG)
        answer = self.county.ask(who, asked)
        self.seen[name, answer.status] += 1
        for fault in self.judge.faults(spoiler.operation, asked, answer):
            known = self.found.get((name, fault))
            if known is None or _size(asked) < _size(known[0]):
                self.found[name, fault] = (asked, who, answer)
        return answer

    def report(self) -> str:
        """Each fault with the shortest request that showed it."""
        origin = self.county.system.url
        return "\n\n".join(
            f"{name}: {fault}\n  {asked.curl(origin, who)}\n  {answer.status} {answer.body[:500]!r}"
            for (name, fault), (asked, who, answer) in sorted(self.found.items(), key=lambda item: item[0])
        )

    def crashes(self) -> list[str]:
        """Log lines that tell of something nobody foresaw, or repeat the marked number."""
        found = []
        for path in sorted((self.county.system.data / "logs").glob("*.log")):
            for line in path.read_text(errors="replace").splitlines():
                if '"level":"error"' in line or "Traceback" in line or MARKED in line:
                    found.append(f"{path.name}: {line[:500]}")
        return found

    def _drawn(self, name: str, mode: GenerationMode, chance: int, count: int) -> None:
        spoiler, people = self.spoilers[name], self.let_in(name)
        operation = self.county.schema[spoiler.path][spoiler.method]
        turn = 0

        @seed(chance)
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(requests_of(operation, mode, spoiler))
        def ask(asked: Asked) -> None:
            nonlocal turn
            turn += 1
            self.send(name, people[turn % len(people)], asked)

        try:
            ask()
        except Unsatisfiable:
            # There is no wrong way to ask for what takes neither parameters nor a body.
            assert mode is GenerationMode.NEGATIVE, name

    def _with_etag(self, who: str, asked: Asked, mark: str) -> Asked:
        """The request with the ETag that its record has now."""
        etag = self.county.ask(who, Asked("GET", asked.target)).headers.get("etag", mark)
        return replace(asked, headers={key: etag if value == mark else value for key, value in asked.headers.items()})


def _size(asked: Asked) -> int:
    return len(asked.target) + len(asked.body or b"") + len(json.dumps(dict(asked.headers)))


def public(operation: dict[str, Any]) -> bool:
    """Whether the document says that anyone may ask."""
    return operation.get("security") == []
