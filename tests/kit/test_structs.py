"""A struct of a model takes what the model takes, or less; what it can't look at is said when it is made."""

from datetime import date
from typing import Annotated, Any

import msgspec
import pytest
from pydantic import AfterValidator, BaseModel, Field

from shared.kit.fields import Body, Code, Flag, LawDate, Money, Text, Whole
from shared.kit.structs import struct_of


class Bell(Body):
    name: Text
    weight: Annotated[Whole, Field(ge=1, le=9)]


class Tower(Body):
    number: Code | None
    built_on: LawDate
    rings: Flag
    bells: Annotated[list[Bell], Field(min_length=1, max_length=2)]
    cost: Money = Field(default=0)


TOWER = {"number": "T1", "built_on": "1900-01-01", "rings": True, "bells": [{"name": "a", "weight": 9}], "cost": "1.00"}
BELLS: tuple[Any, ...] = (
    *([], [{"name": "a", "weight": 1}] * 3, [{"name": "", "weight": 1}], [{"name": "a" * 201, "weight": 1}]),
    *([{"name": "a", "weight": 0}], [{"name": "a", "weight": 10}], [{"name": "a"}], [{"name": "a", "weight": "1"}]),
)


def quick() -> type[msgspec.Struct]:
    return struct_of(Tower, instead={Money: str, LawDate: date}, patterns_aside=[Code, Text], omitted=["cost"])


def test_a_struct_reads_what_its_model_reads() -> None:
    read = msgspec.convert(TOWER, quick())
    assert msgspec.to_builtins(read) == TOWER
    assert list(msgspec.to_builtins(read)) == list(Tower.model_fields)
    without = {name: value for name, value in TOWER.items() if name != "cost"}
    assert msgspec.to_builtins(msgspec.convert(without, quick())) == without


@pytest.mark.parametrize(
    "wrong",
    [*({"bells": bells} for bells in BELLS), {"number": ""}, {"number": "1" * 65}, {"rings": 1}, {"more": 1}],
)
def test_its_bounds_are_the_models(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**TOWER, **wrong}, quick())
    with pytest.raises(ValueError, match="error"):
        Tower.model_validate({**TOWER, **wrong})


def test_a_bound_that_it_could_not_keep_is_refused_when_it_is_made() -> None:
    class Even(BaseModel):
        number: Annotated[int, AfterValidator(abs)]

    for model, left in ((Even, []), (Bell, []), (Tower, [Text])):
        with pytest.raises(TypeError, match="no struct has this bound"):
            struct_of(model, patterns_aside=left)
