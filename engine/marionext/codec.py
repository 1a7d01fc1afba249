"""Frozen dataclasses to JSON values and back, strictly.

One codec reads job files, presets, records and protocol messages, so a misspelt key or a wrong
type is found in the same words everywhere: ``$.settings: unknown key 'stepz'``. Types that have
``parse(text)`` and ``str(value)`` (such as `FrameRate`) travel as text, and so do fractions.

A union of dataclasses that each have a field like ``kind: Literal["offset"] = "offset"`` is told
apart by it; where the key is absent the first of the union is meant.
"""

import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin, overload

from marionext.errors import SettingsError
from marionext.limits import QUOTED, quoted

__all__ = ["decode", "encode"]

T = TypeVar("T")

_FRACTION = re.compile(r"-?[0-9]{1,60}(?:/[1-9][0-9]{0,59})?")

_NAMES = {
    dict: "an object", list: "a list", str: "text", bool: "true or false",
    int: "a whole number", float: "a number", type(None): "null",
}  # fmt: skip


def encode(value: object) -> Any:
    """Turn a dataclass (or any value inside one) into JSON values.

    Every field is written, defaults too: a file says what it means without the code beside it.

    Raises:
        TypeError: a value has no JSON form; a mistake in the program, not in the input.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if hasattr(type(value), "parse"):
            return str(value)
        return {field.name: encode(getattr(value, field.name)) for field in _fields(type(value))}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, Fraction):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"no JSON form for {type(value).__name__}")


@overload
def decode(kind: type[T], data: object, *, base: T | None = None, path: str = "$") -> T: ...


@overload
def decode(kind: types.UnionType, data: object, *, base: object = None, path: str = "$") -> Any: ...


def decode(kind: Any, data: object, *, base: object = None, path: str = "$") -> Any:
    """Read JSON values as a value of ``kind``.

    Args:
        kind: a dataclass, or any type its fields may have.
        data: what ``json.loads`` or ``tomllib`` returned.
        base: takes the place of the dataclass's own defaults for keys that are absent.
        path: where ``data`` stands in its document; begins every message.

    Raises:
        SettingsError: a key is unknown or missing, or a value has the wrong type or range.
    """
    return _value(kind, data, path, base)


@cache
def _fields(kind: type) -> tuple[dataclasses.Field[Any], ...]:
    return tuple(field for field in dataclasses.fields(kind) if field.init)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _wrong(path: str, expected: str, data: object) -> SettingsError:
    found = _NAMES.get(type(data), type(data).__name__)
    shown = f" {quoted(data)}" if isinstance(data, str | int | float) else ""
    return SettingsError(f"{path}: expected {expected}, got {found}{shown}")


def _dataclass(kind: type, data: object, base: object, path: str) -> object:
    if hasattr(kind, "parse"):
        if not isinstance(data, str):
            raise _wrong(path, "text", data)
        try:
            return kind.parse(data)
        except SettingsError as error:
            raise SettingsError(f"{path}: {error.message}", hint=error.hint) from None
    if not isinstance(data, Mapping):
        raise _wrong(path, "an object", data)
    fields = {field.name: field for field in _fields(kind)}
    for key in data:
        if key not in fields:
            near = difflib.get_close_matches(str(key)[:QUOTED], fields, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(fields)}."
            raise SettingsError(f"{path}: unknown key {quoted(key)}", hint=hint)
    hints = _hints(kind)
    values: dict[str, object] = {}
    for name, field in fields.items():
        if name in data:
            inner = getattr(base, name) if base is not None else None
            values[name] = _value(hints[name], data[name], f"{path}.{name}", inner)
        elif base is not None:
            values[name] = getattr(base, name)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise SettingsError(f"{path}: missing key {name!r}")
    try:
        return kind(**values)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error.message}", hint=error.hint) from None


def _tags(kind: Any) -> tuple[str, ...]:
    """Return what a dataclass's ``kind`` may be; nothing if it has no such field of literals."""
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return ()
    hint = _hints(kind).get("kind")
    return get_args(hint) if get_origin(hint) is Literal else ()


def _choice(choices: list[Any], data: object, base: object, path: str) -> Any:
    """Return the one of a union that ``data`` is to be read as."""
    by_tag = {tag: choice for choice in choices for tag in _tags(choice)}
    if len(choices) == 1 or not by_tag or not isinstance(data, Mapping):
        return choices[0]
    if "kind" not in data:
        return type(base) if type(base) in choices else choices[0]
    tag = data["kind"]
    if not isinstance(tag, str) or tag not in by_tag:
        near = difflib.get_close_matches(tag[:QUOTED] if isinstance(tag, str) else "", by_tag, n=1)
        raise SettingsError(
            f"{path}.kind: expected one of {list(by_tag)}, got {quoted(tag)}",
            hint=f"Did you mean {near[0]!r}?" if near else None,
        )
    return by_tag[tag]


def _value(hint: Any, data: object, path: str, base: object = None) -> object:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if data is None and type(None) in arguments:
            return None
        choices = [choice for choice in arguments if choice is not type(None)]
        choice = _choice(choices, data, base, path)
        return _value(choice, data, path, base if type(base) is choice else None)
    if origin is Literal:
        if data not in arguments:
            raise SettingsError(f"{path}: expected one of {list(arguments)}, got {quoted(data)}")
        return data
    if dataclasses.is_dataclass(hint):
        return _dataclass(typing.cast(type, hint), data, base, path)
    if origin is tuple:
        return _tuple(arguments, data, path)
    if origin in (dict, Mapping) or hint is dict:
        if not isinstance(data, Mapping):
            raise _wrong(path, "an object", data)
        item = arguments[1] if arguments else Any
        return {str(key): _value(item, value, f"{path}.{key}") for key, value in data.items()}
    if hint is Any or hint is object:
        return data
    return _scalar(hint, data, path)


def _tuple(arguments: tuple[Any, ...], data: object, path: str) -> tuple[object, ...]:
    if not isinstance(data, list | tuple):
        raise _wrong(path, "a list", data)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_value(arguments[0], item, f"{path}[{i}]") for i, item in enumerate(data))
    if len(data) != len(arguments):
        raise SettingsError(f"{path}: expected {len(arguments)} values, got {len(data)}")
    return tuple(
        _value(kind, item, f"{path}[{i}]")
        for i, (kind, item) in enumerate(zip(arguments, data, strict=True))
    )


def _scalar(kind: type, data: object, path: str) -> object:
    if kind is Fraction:
        if not isinstance(data, str) or not _FRACTION.fullmatch(data):
            raise _wrong(path, "a fraction such as '3/2'", data)
        return Fraction(data)
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        try:
            data = float(data)
        except OverflowError:
            raise _wrong(path, "a finite number", data) from None
    if type(data) is not kind:
        raise _wrong(path, _NAMES.get(kind, kind.__name__), data)
    if isinstance(data, float) and not math.isfinite(data):
        raise _wrong(path, "a finite number", data)
    return data
