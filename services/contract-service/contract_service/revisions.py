"""Changing a record: the state one has read (ETag, If-Match), and a merge patch upon it (RFC 7396)."""

from typing import Annotated, Any

from fastapi import Depends, Header, Request

from contract_service.errors import MergePatchExpected
from shared.kit.problems import PreconditionFailed, PreconditionRequired


def etag(revision: int) -> str:
    """The ETag of one state of a record."""
    return f'"{revision}"'


class Match:
    """The states a caller is willing to change."""

    def __init__(self, header: str) -> None:
        self.tags = {tag.strip() for tag in header.split(",")}

    def require(self, revision: int) -> None:
        """412 when somebody changed the record since it was read. Weak tags and ``*`` name no state that was read."""
        if etag(revision) not in self.tags:
            raise PreconditionFailed(headers={"ETag": etag(revision)})


def _if_match(if_match: Annotated[str | None, Header(description="读到的 ETag", max_length=1000)] = None) -> Match:
    if not if_match:
        raise PreconditionRequired
    return Match(if_match)


IfMatch = Annotated[Match, Depends(_if_match)]


def merge_patch_only(request: Request) -> None:
    """A plain JSON body could be meant as the whole record: a merge patch must say that it is one."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/merge-patch+json":
        raise MergePatchExpected


def merged(record: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The record with the patch upon it: null removes a field, an object is merged, anything else replaces."""
    result = dict(record)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            below = result.get(name)
            result[name] = merged(below if isinstance(below, dict) else {}, value)
        else:
            result[name] = value
    return result
