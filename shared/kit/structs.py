"""A model's fields as a struct: it reads JSON many times as fast, and only where the model need bend nothing.

The struct is made of the model, so a field is written once. Whatever the struct refuses (`msgspec.MsgspecError`) is no
refusal yet: the model then looks.
"""

import types
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import BaseModel, StringConstraints
from pydantic.fields import FieldInfo
from pydantic.types import Strict

_BOUNDS = {Gt: "gt", Ge: "ge", Le: "le", MinLen: "min_length", MaxLen: "max_length"}


def struct_of(
    model: type[BaseModel],
    *,
    instead: Mapping[Any, Any] | None = None,
    patterns_aside: Collection[Any] = (),
    omitted: Collection[str] = (),
    unread: Collection[str] = (),
) -> type[msgspec.Struct]:
    """The struct of a model, and of the models in it: all of its fields and no other.

    ``instead``: kinds of field that are read as another. ``patterns_aside``: kinds of text whose patterns the caller
    looks at. ``omitted``: fields that may be left out and are then `msgspec.UNSET`; else a struct wants all of them.
    ``unread``: fields handed on as their JSON text. Raises `TypeError` for a bound that no struct has.
    """

    def struct(model: type[BaseModel]) -> type[msgspec.Struct]:
        hints = get_type_hints(model, include_extras=True)
        fields: list[Any] = []
        for name in model.model_fields:
            read_as = msgspec.Raw if name in unread else kind(hints[name])
            fields.append((name, read_as | msgspec.UnsetType, msgspec.UNSET) if name in omitted else (name, read_as))
        return msgspec.defstruct(model.__name__, fields, forbid_unknown_fields=True, kw_only=True, gc=False)

    def kind(annotation: Any) -> Any:
        if instead and annotation in instead:
            return instead[annotation]
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return struct(annotation)
        origin, args = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            bounds = _bounds(args[1:], pattern=annotation in patterns_aside)
            return Annotated[kind(args[0]), msgspec.Meta(**bounds)] if bounds else kind(args[0])
        if origin in (Union, types.UnionType):
            return Union[tuple(map(kind, args))]  # noqa: UP007
        if origin in (list, dict):
            return origin[tuple(map(kind, args))]
        return annotation

    return struct(model)


def _bounds(said: Collection[Any], *, pattern: bool) -> dict[str, Any]:
    """What a kind of field asks for, in the words of a struct."""
    found: dict[str, Any] = {}
    for each in said:
        if isinstance(each, FieldInfo):
            found |= _bounds(each.metadata, pattern=pattern)
        elif isinstance(each, StringConstraints) and (pattern or each.pattern is None):
            found |= {"min_length": each.min_length, "max_length": each.max_length}
        elif type(each) in _BOUNDS:
            word = _BOUNDS[type(each)]
            found[word] = getattr(each, word)
        elif not isinstance(each, Strict):
            raise TypeError(f"no struct has this bound: {each!r}")
    return found
