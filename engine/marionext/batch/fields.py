"""The parts of a job by the names that tables and matrices have for them.

A name is one of a few short ones (``motion``, ``seed`` ...) or the way to the part in a job file,
with dots: ``settings.steps``, ``motion.camera.yaw``. Tables hold text only; it is brought to what
the part holds.
"""

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

from marionext.errors import SettingsError
from marionext.jobs import RenderJob
from marionext.limits import quoted
from marionext.settings import DEFAULT_MODEL, default_settings

__all__ = ["fill", "place_of", "put", "stem_of", "value_of"]

_SHORT = {
    "motion": ("motion", "path"),
    "out": ("output", "directory"),
    "videos": ("output", "videos"),
    "person": ("motion", "person"),
    "rig": ("motion", "rig"),
    "clip": ("motion", "clip"),
    "camera": ("motion", "camera", "source"),
    "fit": ("pose", "fit"),
    "seed": ("settings", "seed"),
    "steps": ("settings", "steps"),
    "width": ("settings", "width"),
    "height": ("settings", "height"),
}
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_YES_NO = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def place_of(name: str) -> tuple[str, ...]:
    """Return the way to a part of a job file."""
    return _SHORT.get(name) or tuple(name.split("."))


def put(job: dict[str, Any], place: tuple[str, ...], value: object) -> None:
    """Put a value at a place of a job file's content.

    Raises:
        SettingsError: something that is no object stands on the way.
    """
    for key in place[:-1]:
        job = job.setdefault(key, {})
        if not isinstance(job, dict):
            raise SettingsError(f"{'.'.join(place)}: {key!r} has a value already, not parts")
    job[place[-1]] = value


def value_of(place: tuple[str, ...], text: str, model: str = DEFAULT_MODEL) -> object:
    """Return text as what a part of a job holds; text that cannot be that stays text.

    Who reads the job then says what was expected there.
    """
    hint: Any = RenderJob
    for key in place:
        if not dataclasses.is_dataclass(hint):
            return text
        if hint is RenderJob and key == "settings":
            hint = type(default_settings(model))
        else:
            hint = _hints(typing.cast(type, hint)).get(key)
    return _value(hint, text.strip())


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return typing.get_type_hints(kind)


def _value(hint: Any, text: str) -> object:
    union = get_origin(hint) in (typing.Union, types.UnionType)
    for kind in get_args(hint) if union else (hint,):
        if kind is bool:
            return _YES_NO.get(text.lower(), text)
        if kind is int and re.fullmatch(r"[+-]?\d{1,30}", text):
            return int(text)
        if kind is float:
            return _number(text)
        if get_origin(kind) is tuple:
            item = get_args(kind)[0]
            return [_value(item, part) for part in re.split(r"[\s,;|+]+", text) if part]
    return text


def _number(text: str) -> object:
    """Read a number; spreadsheets of many countries write 0,5."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return text


def stem_of(path: str) -> str:
    """Return the name of a motion or character without its endings."""
    name = Path(path).name
    for ending in (".coco.json", ".pose.npz", ".doll"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return Path(name).stem


def fill(pattern: str, values: Mapping[str, object]) -> str:
    """Put values into ``{name}`` places.

    Raises:
        SettingsError: there is no such value, or it is no part of a file name.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            known = ", ".join(f"{{{name}}}" for name in sorted(values))
            raise SettingsError(
                f"out: there is no {quoted(match[0])} here", hint=f"There are: {known}."
            )
        text = str(values[match[1]])
        if not text or text in {".", ".."} or re.search(r"[/\\\0]", text):
            raise SettingsError(
                f"out: expected a value that can be a file name, {match[0]} is {quoted(text)}"
            )
        return text

    return _PLACEHOLDER.sub(value, pattern)
