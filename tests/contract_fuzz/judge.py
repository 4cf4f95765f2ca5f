"""Is an answer one that the document declares? Stricter than "it parses": an answer field the document does not name
counts, success must be declared by its own status, and a refusal is a problem document that repeats no number."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from tests.contract_fuzz.wire import Answered, Asked

PROBLEM = "application/problem+json"
# Eighteen or fifteen digits, as residents' numbers are; ids and moments have signs between their digits.
NUMBER = re.compile(r"(?<![0-9A-Za-z-])[0-9]{14,17}[0-9Xx](?![0-9A-Za-z-])")
LINES = "application/x-ndjson"


def closed(part: Any) -> Any:
    """A schema whose objects have the named properties only; what names none stays open."""
    if isinstance(part, list):
        return [closed(item) for item in part]
    if not isinstance(part, dict):
        return part
    found = {key: closed(value) for key, value in part.items() if key not in ("example", "examples")}
    if "properties" in found and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


def repeated(asked: Asked, answer: Answered) -> Iterator[str]:
    """Whether an answer that refuses says a number that came with the request."""
    sent = asked.target + (asked.body or b"").decode("utf-8", "replace")
    said = (
        line for line in answer.body.decode("utf-8", "replace").splitlines() if '"urn:three-batches:problem' in line
    )
    if any(number in sent for line in said for number in NUMBER.findall(line)):
        yield "the problem repeats an identity number"


class Judge:
    """The document's declarations, ready to be held against answers."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._schemas: dict[str, Any] = closed(document["components"]["schemas"])
        # Refusals of some services say more than the common fields; RFC 9457 allows that.
        self._schemas["Problem"] = document["components"]["schemas"]["Problem"]
        self._validators: dict[str, Any] = {}

    def faults(self, operation: dict[str, Any], asked: Asked, answer: Answered) -> Iterator[str]:
        """Everything about an answer that was not declared."""
        if answer.status >= 500:
            yield f"answered {answer.status}"
        declared = operation["responses"].get(str(answer.status))
        if declared is None:
            if answer.status < 400:
                yield f"undeclared status {answer.status}"
                return
            declared = operation["responses"].get("default", {})
        if "$ref" in declared:
            declared = self.document["components"]["responses"][declared["$ref"].rpartition("/")[2]]
        wrong = list(self._content(declared, answer))
        yield from wrong
        if answer.status >= 400 and not wrong:
            yield from self._problem(answer)
        if answer.status >= 400 or answer.media_type == LINES:
            # A batch tells of its refused lines in a 200.
            yield from repeated(asked, answer)

    def _content(self, declared: dict[str, Any], answer: Answered) -> Iterator[str]:
        content = declared.get("content", {})
        if answer.media_type not in content:
            yield f"undeclared media type {answer.media_type or 'none'} of {answer.status}"
        elif answer.media_type.endswith("json") and answer.media_type != LINES:
            try:
                body = answer.json()
            except ValueError:
                yield "not well-formed JSON"
                return
            for error in self._validator(content[answer.media_type]["schema"]).iter_errors(body):
                place = "/".join("*" if isinstance(step, int) else str(step) for step in error.instance_path)
                yield f"{answer.status} breaks its schema at /{place}: {error.message[:200]}"

    def _problem(self, answer: Answered) -> Iterator[str]:
        problem = answer.json()
        if problem["status"] != answer.status:
            yield f"a problem of {problem['status']} answered as {answer.status}"
        if answer.headers.get("x-request-id") != problem["request_id"]:
            yield "the problem's request_id is not the answer's"

    def _validator(self, schema: dict[str, Any]) -> Any:
        name = json.dumps(schema, sort_keys=True)
        if name not in self._validators:
            whole = {**closed(schema), "components": {"schemas": self._schemas}}
            self._validators[name] = jsonschema_rs.validator_for(whole, validate_formats=True)
        return self._validators[name]
