"""The control maps of one denoising step, each frame's computed once.

Neighbouring windows share frames, and guidance runs the UNet twice, but the control network sees
only the pose map and the noise level: one map serves them all. Pose maps are drawn when they are
needed and forgotten, so that memory does not grow with the clip.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from marionext.backends.svd.loading import Models

__all__ = ["ControlMaps", "PoseMaps"]

PoseMaps = Callable[[int], NDArray[np.uint8]]
"""Draws the pose map of a frame: (height, width, 3) RGB. Frame 0 is the character's own pose."""


class ControlMaps:
    """Control maps at one noise level, kept for as long as the next window may want them."""

    def __init__(
        self,
        models: Models,
        pose_maps: PoseMaps,
        size: tuple[int, int],
        timestep: float,
        check: Callable[[], None],
    ) -> None:
        """Prepare; nothing is computed yet.

        Args:
            models: the loaded networks.
            pose_maps: draws a frame's pose map.
            size: width and height that the maps are brought to.
            timestep: ln(sigma) / 4.
            check: called before each chunk of work; raises to stop.
        """
        self._models = models
        self._pose_maps = pose_maps
        self._size = size
        self._timestep = timestep
        self._check = check
        self._kept: dict[int, Tensor] = {}

    def of(self, frames: Sequence[int]) -> Tensor:
        """Return the maps of ``frames``, (frames, channels, h, w), on the device.

        What is not among them is forgotten: windows come in order.
        """
        wanted = dict.fromkeys(frames)
        self._kept = {frame: value for frame, value in self._kept.items() if frame in wanted}
        missing = [frame for frame in wanted if frame not in self._kept]
        chunk = self._models.placement.rung.control_chunk
        for start in range(0, len(missing), chunk):
            self._check()
            part = missing[start : start + chunk]
            self._kept.update(zip(part, self._compute(part), strict=True))
        return torch.stack([self._kept[frame] for frame in frames])

    def _compute(self, frames: list[int]) -> Tensor:
        placement = self._models.placement
        drawn = torch.from_numpy(np.stack([self._draw(frame) for frame in frames]))
        control = drawn.to(placement.device).permute(0, 3, 1, 2).to(placement.dtype) / 255
        maps: Tensor = self._models.controlnext(control[None], self._timestep)
        return maps

    def _draw(self, frame: int) -> NDArray[np.uint8]:
        drawn = self._pose_maps(frame)
        if (drawn.shape[1], drawn.shape[0]) == self._size:
            return drawn
        resized = Image.fromarray(drawn).resize(self._size, Image.Resampling.LANCZOS)
        return np.asarray(resized)
