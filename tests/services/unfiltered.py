"""A service whose handlers have forgotten whose rows they may show: every condition on a place or a caller is gone."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from httpx import Response
from sqlalchemy import Column, ColumnElement, False_, event
from sqlalchemy.orm import ORMExecuteState
from sqlalchemy.sql import visitors

from shared.kit.caller import Caller
from shared.kit.database import ScopedSession
from shared.kit.scope import SERVICE, Scope

BY_PLACE = {
    *("county_code", "recorded_county_code", "institution_code", "township_code", "village_code"),
    *("administered_by", "registered_by_county", "caller"),
}

# Here the code is the row's own name, not whose it is.
ASKED_BY_CODE = {"institutions", "institution_states", "institution_copies"}


def by_place(condition: ColumnElement[bool]) -> bool:
    """Whether a condition says nothing but whose row it is; also the one that lets nothing through."""
    parts = list(visitors.iterate(condition))
    columns = [part for part in parts if isinstance(part, Column)]
    if any(getattr(column.table, "name", "") in ASKED_BY_CODE for column in columns):
        return False
    names = {column.name for column in columns}
    return names <= BY_PLACE and (bool(names) or any(isinstance(part, False_) for part in parts))


def _forget(state: ORMExecuteState) -> None:
    statement: Any = state.statement
    conditions = getattr(statement, "_where_criteria", ())
    kept = tuple(condition for condition in conditions if not by_place(condition))
    if len(kept) < len(conditions):
        statement = statement._clone()
        statement._where_criteria = kept
        state.statement = statement
        removed.append(len(conditions) - len(kept))


removed: list[int] = []
"""How many conditions were taken out of each statement that had some, since `filters_removed` began."""


@contextmanager
def filters_removed() -> Iterator[list[int]]:
    """No query of any session asks for a place or a caller."""
    removed.clear()
    event.listen(ScopedSession, "do_orm_execute", _forget)
    try:
        yield removed
    finally:
        event.remove(ScopedSession, "do_orm_execute", _forget)


@contextmanager
def policies_lifted() -> Iterator[None]:
    """Every caller's transaction works in the service's scope: only the handlers' own conditions are left."""

    def everything(_: type[Scope], caller: Caller) -> Scope:
        return Scope(subject=caller.subject, service=SERVICE.service)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scope, "of", classmethod(everything))
        yield


def shown(answer: Response, foreign: Iterable[object]) -> bool:
    """Whether an answer shows any of these foreign things; a refusal shows nothing."""
    assert answer.status_code in (200, 201, 403, 404, 409), answer.text
    return answer.status_code < 300 and any(str(each) in answer.text for each in foreign)
