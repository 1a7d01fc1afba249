"""Pictures made larger by a base of Stable Diffusion 3, steered by the smaller picture.

The picture is made larger by interpolation first. That, with a little noise, is where the base
begins: what it may change is so little that it can sharpen and not invent. The control network sees
the same picture, unspoilt by the noise.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from marionext import bundles
from marionext.backends.pictures.making import (
    Control,
    PictureMaker,
    Wish,
    open_maker,
    versions,
)
from marionext.backends.upscaling.base import OnPart, Upscaler
from marionext.backends.upscaling.resampling import Resampler
from marionext.backends.upscaling.table import DiffusionSettings, Method
from marionext.backends.upscaling.tiles import join_tiles, plan_tiles
from marionext.errors import SettingsError
from marionext.jobs import EngineSettings

__all__ = ["DiffusionUpscaler", "open_diffusion"]

_AT_ONCE = {True: 4, False: 16}
"""Parts that are denoised together: on the processor, on other devices."""
_MARGIN = 8
"""Parts of an overlap; one of them at a tile's edge is left out."""


def open_diffusion(
    method: Method,
    engine: EngineSettings,
    say: Callable[[str], None],
    *,
    tile: int | None,
    seed: int,
    change: float | None,
) -> "DiffusionUpscaler":
    """Load a base; see `marionext.backends.upscaling.open_upscaler`."""
    assert method.base is not None
    assert method.control is not None
    settings = method.settings
    if tile is not None:
        settings = settings.in_parts_of(tile)
    if change is not None:
        settings = replace(settings, change=change)
    usual = method.base.defaults
    if usual.steps * settings.change < 1:
        raise SettingsError(
            f"expected a change of at least one of {usual.steps} steps, {settings.change:g} is "
            f"less than {1 / usual.steps:.3g}",
            hint="Let more change, or have more steps in the model's marionext.toml.",
        )
    maker = open_maker(
        method.base.path,
        method.base.family,
        engine,
        bundles.models_folder() / "converted",
        say,
    )
    settings = _within(settings, maker, asked=tile is not None)
    strength = method.control.settings.strength
    if settings.strength is not None:
        strength = settings.strength
    wish = Wish(
        prompt="",
        negative="",
        size=(settings.tile, settings.tile),
        steps=usual.steps,
        guidance=usual.guidance,
        words=usual.words,
        scheduler=None,
        controls=(
            Control(
                files=method.control,
                picture=np.zeros((1, 1, 3), np.uint8),
                strength=strength,
                start=0.0,
                stop=1.0,
            ),
        ),
        change=settings.change,
    )
    maker.check(wish)
    return DiffusionUpscaler(maker, method, settings.tile, settings.shared, wish, seed)


def _within(settings: DiffusionSettings, maker: PictureMaker, *, asked: bool) -> DiffusionSettings:
    """Return settings with parts that the network has places for.

    Raises:
        SettingsError: larger ones were asked for.
    """
    places = getattr(maker.network.config, "pos_embed_max_size", None)
    if places is None or settings.tile <= (largest := int(places) * maker.side_step):
        return settings
    if asked:
        raise SettingsError(
            f"tile: expected at most {largest} pixels, as this network was made for, got "
            f"{settings.tile}"
        )
    return settings.in_parts_of(largest)


class DiffusionUpscaler(Upscaler):
    """A loaded base.

    Args:
        maker: of its pictures.
        method: what it is.
        tile: side in pixels of the result's parts.
        overlap: pixels of the result that they share at least.
        wish: what each part is to be, its pictures aside.
        seed: of the noise, the same for each part and picture: what stands still stays still.
    """

    def __init__(
        self, maker: PictureMaker, method: Method, tile: int, overlap: int, wish: Wish, seed: int
    ) -> None:
        self.by = method.by
        self._maker, self._wish, self._seed = maker, wish, seed
        self._larger = Resampler(method.settings.start, method.by)
        # Sides of parts have to be whole numbers of the network's patches and of pixels before.
        step = int(np.lcm(maker.side_step, method.by))
        self._step = step // method.by
        self._side = max(tile // step, 1) * self._step
        self._overlap = min(overlap // method.by, self._side // 2)

    @property
    def computed(self) -> Mapping[str, str]:
        """See `Upscaler`."""
        return {
            "device": self._maker.device.type,
            "dtype": str(self._maker.dtype).removeprefix("torch."),
            "tile": str(self._side * self.by),
        }

    @property
    def versions(self) -> Mapping[str, str]:
        """See `Upscaler`."""
        return versions()

    def enlarge(self, picture: NDArray[np.uint8], on_part: OnPart) -> NDArray[np.uint8]:
        """Return a larger picture; see `Upscaler`."""
        height, width = picture.shape[:2]
        # What is smaller than a tile is filled up at its edges to what the network can do.
        filled = np.pad(picture, ((0, self._lack(height)), (0, self._lack(width)), (0, 0)), "edge")
        tiles = plan_tiles((filled.shape[1], filled.shape[0]), self._side, self._overlap)
        done = 0

        def told(part: int, parts: int) -> None:
            nonlocal done
            done = part
            on_part(part, parts)

        made = join_tiles(
            filled,
            self.by,
            tiles,
            # What is heard at each step is that nothing new is done: whoever listens may stop it.
            lambda parts: self._run(parts, lambda *_: on_part(done, len(tiles))),
            told,
            overlap=self._overlap,
            margin=self._overlap // _MARGIN,
            batch=_AT_ONCE[self._maker.device.type == "cpu"],
        )
        return np.ascontiguousarray(made[: height * self.by, : width * self.by])

    def _lack(self, side: int) -> int:
        return -side % self._step if side < self._side else 0

    def _run(
        self, parts: NDArray[np.uint8], on_step: Callable[[int, int], None]
    ) -> Iterator[NDArray[np.float32]]:
        """Yield (by * h, by * w, 3) of 0 to 255 for each of (parts, h, w, 3)."""
        larger = np.stack([self._larger.enlarge(part, _nobody) for part in parts])
        size = larger.shape[2], larger.shape[1]
        control = replace(self._wish.controls[0], picture=larger)
        wish = replace(self._wish, size=size, controls=(control,), draft=larger)
        seeds = [self._seed] * len(parts)
        for made in self._maker.make(wish, seeds, on_step=on_step, on_decode=_nobody):
            yield made.astype(np.float32)


def _nobody(_done: int, _total: int) -> None:
    pass
