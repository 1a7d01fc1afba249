"""Depth and outline of what a picture shows, by a transformers model of the user's."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from marionext.backends.pictures.loading import quiet_libraries
from marionext.errors import CharacterError, ModelError

__all__ = ["estimate_depth", "segment_figure"]

_FIGURES = ("person", "human", "people", "figure", "foreground", "animal", "character")
"""What segmentation models call what we look for."""


def _pipeline(task: str, model: Path) -> Any:
    import transformers  # noqa: PLC0415 - slow to load

    if not model.is_dir():
        raise ModelError(
            f"{model}: expected the folder of a transformers model for {task}, there is none",
            hint="Fetch one by hand; nothing is fetched here.",
        )
    try:
        quiet_libraries()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return transformers.pipeline(
                task, model=str(model), device="cpu", trust_remote_code=False
            )
    except (ImportError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        first = next((line for line in str(error).splitlines() if line.strip()), "")
        raise ModelError(
            f"{model}: not a transformers model for {task}: {first.strip()}",
            hint="It needs config.json, preprocessor_config.json and model.safetensors.",
        ) from None


def estimate_depth(picture: NDArray[np.uint8], model: Path) -> NDArray[np.float32]:
    """Return how near each pixel is.

    Args:
        picture: (height, width, 3) RGB.
        model: folder of a transformers model for depth estimation.

    Returns:
        (height, width), 0 for what is farthest to 1 for what is nearest.

    Raises:
        ModelError: there is no such model.
    """
    found = _pipeline("depth-estimation", model)(Image.fromarray(picture))["predicted_depth"]
    values = torch.as_tensor(found).float().reshape(1, 1, *found.shape[-2:])
    values = torch.nn.functional.interpolate(
        values, size=picture.shape[:2], mode="bicubic", align_corners=False
    )[0, 0]
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return np.zeros(picture.shape[:2], np.float32)
    return ((values - low) / (high - low)).numpy().astype(np.float32)


def segment_figure(picture: NDArray[np.uint8], model: Path) -> NDArray[np.float32]:
    """Return which pixels are the figure: (height, width), 0 or 1.

    Raises:
        ModelError: there is no such model.
        CharacterError: it finds nobody.
    """
    parts = _pipeline("image-segmentation", model)(Image.fromarray(picture))
    figures = [
        np.asarray(part["mask"].convert("L")) > 127
        for part in parts
        if any(name in str(part["label"]).lower() for name in _FIGURES)
    ]
    if not figures:
        names = ", ".join(sorted({str(part["label"]) for part in parts})) or "nothing"
        raise CharacterError(f"expected a figure in the picture, {model.name} finds {names}")
    return np.asarray(np.logical_or.reduce(figures), np.float32)
