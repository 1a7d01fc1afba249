"""A batch as an Open Job Description template (2023-09), for the farms that read it.

A task does one shot, by its name, with the very command a person would give; the farm decides where
and when. Shots that need the same machine share a step, since that is where a machine's needs
stand.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marionext import bundles, presets
from marionext.batch.shots import Shot
from marionext.errors import ModelError, SettingsError
from marionext.jobs import EngineSettings, PictureJob, UpscaleJob
from marionext.planning import Outline
from marionext.settings import INTERPOLATIONS

__all__ = ["Needs", "needs_of", "needs_of_picture", "template", "to_yaml"]

_LARGEST_BASE = 7.0
"""GiB of SDXL in half precision."""
_SMALL_NETWORK = 0.5
"""GiB of a network that makes pictures larger, as long as its parts are."""
_VALUES = 1024
"""Values that a task parameter has at most, and characters of one of them."""
_NAME = 64
"""Characters of a name at most."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What no template, or no reader of one, takes within a line of text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a machine has to have for a shot."""

    memory_mib: int
    """Of the host."""
    gpu_mib: int = 0
    """Of a GPU; 0: none is needed."""


def needs_of(outline: Outline) -> Needs:
    """Return what a planned render needs, rounded up, so that shots alike share a step."""
    host = _rounded(outline.host_gib)
    if outline.device != "cuda" or not outline.device_gib:
        return Needs(memory_mib=host)
    # The most frugal way of working is enough for it to be done at all.
    return Needs(memory_mib=host, gpu_mib=_rounded(min(outline.device_gib.values())))


def needs_of_picture(job: PictureJob | UpscaleJob, engine: EngineSettings) -> Needs:
    """Return what pictures need, by the files of their base that are there.

    Weights in half precision on a GPU, with half as much again for the work; the processor has them
    in single precision. Of a base that is not here yet, as much as the largest one.
    """
    if isinstance(job, PictureJob):
        size = _weights_gib(job.base)
    elif job.method in INTERPOLATIONS:
        return Needs(memory_mib=2048)
    else:
        size = _SMALL_NETWORK if _is_of_ncnn(job.method) else _weights_gib(job.method)
    device = str(engine.device)
    if device == "auto":
        from marionext.diffusion.memory import choose_device  # noqa: PLC0415 - torch

        device = choose_device().type
    if device != "cuda":
        return Needs(memory_mib=_rounded(2 * size * 1.5 + 2))
    return Needs(memory_mib=_rounded(size + 2), gpu_mib=_rounded(size * 1.5))


def _is_of_ncnn(method: str) -> bool:
    """Tell whether pictures are made larger by one of the small networks in ncnn's form."""
    if method in presets.names("models"):
        return bundles.read_card(method).architecture == "ncnn"
    return method.endswith(".param")


def _weights_gib(model: str) -> float:
    """Return how large a base's weights are in half precision."""
    try:
        path = Path(model)
        folder = path if path.exists() else bundles.find(model).folder
        files = [folder] if folder.is_file() else list(folder.rglob("*.safetensors"))
        half = [file for file in files if ".fp16." in file.name] or files
        size = sum(file.stat().st_size for file in half) / 2**30
    except (ModelError, OSError):
        size = 0.0
    return size or _LARGEST_BASE


def _rounded(gib: float) -> int:
    """Return MiB, up to the next whole GiB."""
    return 1024 * max(1, -(-int(gib * 1024) // 1024))


def template(
    shots: Sequence[tuple[Shot, Needs]],
    sources: Sequence[Path],
    *,
    name: str = "Marionext",
    arguments: Sequence[str] = (),
    command: str = "marionext",
) -> dict[str, Any]:
    """Return the template of a batch.

    Args:
        shots: each with what it needs.
        sources: job files, tables, matrices and folders, absolute; parameters, for a farm that sees
            them elsewhere.
        name: of the job.
        arguments: options of ``batch`` that every task is given.
        command: the program, which a farm may set as a parameter.

    Raises:
        SettingsError: there is nothing to do, or a name cannot be in a template.
    """
    if not shots:
        raise SettingsError("expected shots to make a template of, got none")
    for shot, _ in shots:
        if len(shot.name) > _VALUES or _CONTROL.search(shot.name) or "{{" in shot.name:
            raise SettingsError(f"{shot.source}: no template can hold the name {shot.name!r}")
    for text in (*map(str, sources), *arguments):
        if _CONTROL.search(text):
            raise SettingsError(f"no template can hold the path {text!r}")
    parameters: list[dict[str, Any]] = [
        {
            "name": "Marionext",
            "type": "STRING",
            "default": command,
            "description": "The program on the farm's machines.",
        }
    ]
    for number, source in enumerate(sources, start=1):
        parameters.append(
            {
                # No PATH: those have no absolute default, and a template should run as it is.
                "name": f"Source{number}",
                "type": "STRING",
                "default": str(source),
                "description": "Jobs, where the farm's machines see them.",
            }
        )
    named = [f"{{{{Param.Source{number}}}}}" for number in range(1, len(sources) + 1)]
    steps: list[dict[str, Any]] = []
    for needs, group in _groups(shots):
        for start in range(0, len(group), _VALUES):
            part = group[start : start + _VALUES]
            steps.append(_step(f"Render {len(steps) + 1}", part, needs, named, arguments))
    return {
        "specificationVersion": "jobtemplate-2023-09",
        "name": _CONTROL.sub(" ", name)[:_NAME] or "Marionext",
        "parameterDefinitions": parameters,
        "steps": steps,
    }


def _groups(shots: Sequence[tuple[Shot, Needs]]) -> list[tuple[Needs, list[Shot]]]:
    groups: dict[Needs, list[Shot]] = {}
    for shot, needs in shots:
        groups.setdefault(needs, []).append(shot)
    return list(groups.items())


def _step(
    name: str, shots: Sequence[Shot], needs: Needs, sources: list[str], arguments: Sequence[str]
) -> dict[str, Any]:
    amounts: list[dict[str, Any]] = [{"name": "amount.worker.memory", "min": needs.memory_mib}]
    if needs.gpu_mib:
        amounts += [
            {"name": "amount.worker.gpu", "min": 1},
            {"name": "amount.worker.gpu.memory", "min": needs.gpu_mib},
        ]
    run = {
        "command": "{{Param.Marionext}}",
        "args": [
            "batch",
            *sources,
            "--only",
            "{{Task.Param.Shot}}",
            "--openjd",
            "--no-report",
            *arguments,
        ],
        # Told to stop, a task ends after the frame or step in hand, and goes on from there.
        "cancelation": {"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": 60},
    }
    names = [shot.name for shot in shots]
    return {
        "name": name,
        "hostRequirements": {"amounts": amounts},
        "parameterSpace": {
            "taskParameterDefinitions": [{"name": "Shot", "type": "STRING", "range": names}]
        },
        "script": {"actions": {"onRun": run}},
    }


def to_yaml(value: object) -> str:
    """Return mappings, lists, text and numbers as YAML; text is quoted, keys where it is needed."""
    return "\n".join(_lines(value)) + "\n"


_NO_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Words that YAML takes for something else unless they are quoted."""


def _lines(value: object) -> list[str]:
    """Return the lines of a value that stands on lines of its own."""
    if isinstance(value, Mapping):
        lines = []
        for key, item in value.items():
            name = json.dumps(key) if key.lower() in _NO_TEXT else key
            inner = _lines(item)
            if isinstance(item, Mapping | list) and item:
                lines += [f"{name}:", *(f"  {line}" for line in inner)]
            else:
                lines.append(f"{name}: {inner[0]}")
        return lines or ["{}"]
    if isinstance(value, list):
        lines = []
        for item in value:
            first, *rest = _lines(item)
            lines += [f"- {first}", *(f"  {line}" for line in rest)]
        return lines or ["[]"]
    return [json.dumps(value, ensure_ascii=False)]
