"""Networks of convolutions that make pictures larger in one go, as Real-ESRGAN's."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from marionext.backends.upscaling.base import OnPart, Upscaler
from marionext.backends.upscaling.ncnn import load_ncnn
from marionext.backends.upscaling.tiles import join_tiles, plan_tiles
from marionext.diffusion.memory import (
    choose_device,
    choose_dtype,
    is_out_of_memory,
    reproducible,
)
from marionext.errors import DeviceError, ModelError
from marionext.jobs import EngineSettings

__all__ = ["NetworkUpscaler", "open_network"]

_SIDE = 512
"""Pixels of a tile before it is made larger, where nothing else is said."""
_SMALLEST = 64
_MOST_MARGIN = 24
"""Pixels. Deep networks reach further, with a weight that fades: this is more than twice what the
makers of Real-ESRGAN's programs leave."""
_FADE = 8


def open_network(
    param: Path, by: int, engine: EngineSettings, tile: int | None, say: Callable[[str], None]
) -> "NetworkUpscaler":
    """Load a network.

    Args:
        param: its file, of ncnn's form.
        by: how many times larger pictures are to be.
        engine: which device and number format to use.
        tile: side in pixels of the result's parts that are made at once; None: as usual.
        say: takes what is worth a word, such as memory running short.

    Raises:
        ModelError: the files are not what they should be, or of another factor.
        DeviceError: the device is not there.
    """
    device = choose_device(engine.device)
    dtype = choose_dtype(device, engine.dtype)
    network = load_ncnn(param)
    if network.factor != by:
        raise ModelError(
            f"{param}: expected a network that makes pictures {by} times larger, this one makes "
            f"them {network.factor} times larger",
            hint=f"Say --by {network.factor}, or take another network.",
        )
    side = _SIDE if tile is None else tile // by
    return NetworkUpscaler(network.to(device, dtype), by, device, dtype, side, say)


class NetworkUpscaler(Upscaler):
    """A loaded network."""

    def __init__(
        self,
        network: torch.nn.Module,
        by: int,
        device: torch.device,
        dtype: torch.dtype,
        side: int,
        say: Callable[[str], None],
    ) -> None:
        self.by = by
        self._network = network
        self._device = device
        self._dtype = dtype
        self._margin = min(int(getattr(network, "reach", 0)), _MOST_MARGIN)
        self._side = max(side, 2 * self._overlap)
        self._say = say

    @property
    def computed(self) -> Mapping[str, str]:
        """See `Upscaler`."""
        return {
            "device": self._device.type,
            "dtype": str(self._dtype).removeprefix("torch."),
            "tile": str(self._side * self.by),
        }

    @property
    def versions(self) -> Mapping[str, str]:
        """See `Upscaler`."""
        return {"torch": str(torch.__version__)}

    @property
    def _overlap(self) -> int:
        return 2 * self._margin + _FADE

    def enlarge(self, picture: NDArray[np.uint8], on_part: OnPart) -> NDArray[np.uint8]:
        """Return a larger picture; see `Upscaler`. Where memory runs out, smaller parts do it."""
        while True:
            try:
                return self._enlarged(picture, on_part)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                trouble = str(error).splitlines()[0]
            # Here the exception is gone, and the memory with it.
            smaller = min(self._side, max(picture.shape[:2])) // 2
            if smaller < max(_SMALLEST, 2 * self._overlap):
                raise DeviceError(
                    f"{self._device} ran out of memory: {trouble}",
                    hint="Close other programs, or take the processor (--device cpu).",
                )
            self._say(
                f"{self._device} ran out of memory. Going on with parts of "
                f"{smaller * self.by} pixels."
            )
            self._side = smaller
            if self._device.type == "cuda":
                torch.cuda.empty_cache()

    def _enlarged(self, picture: NDArray[np.uint8], on_part: OnPart) -> NDArray[np.uint8]:
        height, width = picture.shape[:2]
        tiles = plan_tiles((width, height), self._side, self._overlap)
        return join_tiles(
            picture, self.by, tiles, self._run, on_part,
            overlap=self._overlap, margin=self._margin,
        )  # fmt: skip

    @torch.inference_mode()
    def _run(self, parts: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (parts, by * h, by * w, 3) of 0 to 255 from (parts, h, w, 3)."""
        pixels = torch.from_numpy(parts).permute(0, 3, 1, 2)
        with reproducible():
            made = self._network(pixels.to(self._device, self._dtype) / 255)
        made = (made.float() * 255).permute(0, 2, 3, 1).cpu()
        if not bool(torch.isfinite(made).all()):
            raise ModelError(
                "the picture came out empty: numbers grew beyond what "
                f"{str(self._dtype).removeprefix('torch.')} can hold",
                hint="Take another number format: --dtype float32.",
            )
        return np.asarray(made.clamp(0, 255).numpy(), np.float32)
