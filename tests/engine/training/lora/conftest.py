"""Tiny random bases, and a few pictures with captions to train LoRAs on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.engine.backends.pictures import tiny

from marionext.backends.pictures.bases import find_base
from marionext.training.lora.settings import LoraSettings
from marionext.training.lora.trainer import LoraRun, train_lora
from marionext.training.reports import Report, TrainingReporter

Bases = Callable[[str], Path]
Trainer = Callable[..., Path]


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Bases:
    """Return a maker of bases by their family, each made when it is first wanted."""
    root = tmp_path_factory.mktemp("bases")

    def made(family: str) -> Path:
        folder = root / family
        return folder if folder.exists() else tiny.MAKERS[family](folder)

    return made


def write_picture(path: Path, size: tuple[int, int] = (64, 96), words: str | None = "red") -> Path:
    """Write a picture of noise in one colour, and its caption."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name))
    pixels = rng.integers(0, 255, (size[1], size[0], 3), np.uint8)
    pixels[..., 1:] //= 8
    Image.fromarray(pixels).save(path)
    if words is not None:
        path.with_suffix(".txt").write_text(words, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures of three shapes; not to be changed."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, size in enumerate(((64, 96), (96, 96), (96, 64), (70, 70))):
        write_picture(folder / f"{number:0{number + 1}}.png", size, f"red {number}")
    return folder


@pytest.fixture
def reports() -> list[Report]:
    """What a training tells."""
    return []


@pytest.fixture
def run_training(tiny_base: Bases, pictures: Path, reports: list[Report]) -> Trainer:
    """Return what trains a LoRA for a tiny base on a few pictures.

    Keyword arguments go over the settings, ``run`` over how it is run.
    """

    def run(
        folder: Path,
        steps: int,
        *,
        family: str = "sd15",
        run: dict[str, Any] | None = None,
        base: Path | None = None,
        report: TrainingReporter | None = None,
        **changes: Any,
    ) -> Path:
        options: dict[str, Any] = {
            "data": pictures, "folder": folder, "steps": steps, "device": "cpu",
            "evaluate_every": 2, "preview_every": 0, "validation": 1, **(run or {}),
        }  # fmt: skip
        usual: dict[str, Any] = {
            "size": (32, 32), "rank": 4, "rate": 1e-2, "warm_up": 0, "batch": 2, **changes
        }  # fmt: skip
        return train_lora(
            find_base(str(base or tiny_base(family))),
            LoraSettings(**usual),
            LoraRun(**options),
            report or TrainingReporter(reports.append),
        )

    return run
