"""Which ways there are to make pictures larger, and what each needs."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from marionext import bundles, presets
from marionext.backends.pictures.bases import Base, find_base
from marionext.backends.pictures.control_files import ControlFiles, find_control
from marionext.backends.upscaling.base import Upscaler
from marionext.backends.upscaling.resampling import Resampler
from marionext.codec import decode
from marionext.errors import ModelError, SettingsError
from marionext.files import is_folder, sha256_of
from marionext.jobs import EngineSettings, MotionSource, PictureControl
from marionext.paths import user_path
from marionext.settings import DEFAULT_INTERPOLATION, INTERPOLATIONS

__all__ = ["DiffusionSettings", "Method", "open_upscaler", "recognise"]

NCNN = ".param"
"""End of the names of networks in ncnn's form."""

_OFTEN = "realesr-animevideov3-x{}"
"""Files of Real-ESRGAN's network by their factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionSettings:
    """How a Stable Diffusion 3 makes larger: the table ``upscale`` of its ``marionext.toml``."""

    by: int = 2
    """The factor that its control network was trained for."""
    tile: int = 256
    """Side in pixels of the result's parts that are denoised at once."""
    overlap: int | None = None
    """Pixels of the result that neighbouring parts share at least; None: a quarter of a part."""
    change: float = 0.1
    """How much of the picture that is begun with, made larger by interpolation, may change."""
    strength: float | None = None
    """Factor of what the control adds; None: as its own files say."""
    start: Literal["bicubic", "lanczos"] = "bicubic"
    """The interpolation that is begun with."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be."""
        if not 2 <= self.by <= 8:
            raise SettingsError(f"by: expected a factor from 2 to 8, got {self.by}")
        if not 32 <= self.tile <= 4096:
            raise SettingsError(f"tile: expected 32 to 4096 pixels, got {self.tile}")
        if self.overlap is not None and not 0 <= self.overlap <= self.tile // 2:
            raise SettingsError(
                f"overlap: expected 0 to half of the tile ({self.tile // 2}), got {self.overlap}"
            )
        if not 0.01 <= self.change <= 1:
            raise SettingsError(f"change: expected 0.01 to 1, got {self.change:g}")

    @property
    def shared(self) -> int:
        """The pixels that neighbouring parts share at least."""
        return self.tile // 4 if self.overlap is None else self.overlap

    def in_parts_of(self, tile: int) -> "DiffusionSettings":
        """Return the same with parts of another size."""
        overlap = None if self.overlap is None else min(self.overlap, tile // 2)
        return replace(self, tile=tile, overlap=overlap)


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A way to make pictures larger, found on this machine; nothing is loaded yet."""

    name: str
    """As the job has it."""
    kind: Literal["resampling", "network", "diffusion"]
    by: int
    files: dict[str, Path] = field(default_factory=dict)
    """What pictures depend on, by name."""
    base: Base | None = None
    control: ControlFiles | None = None
    settings: DiffusionSettings = field(default_factory=DiffusionSettings)
    """Of a base of Stable Diffusion 3."""

    @property
    def hashes(self) -> dict[str, str]:
        """The sha256 of its files by name."""
        known = {} if self.base is None else self.base.hashes()
        others = {name: path for name, path in self.files.items() if name not in known}
        return known | {name: sha256_of(path) for name, path in others.items()}


def recognise(name: str, by: int) -> Method:
    """Find a way to make pictures larger.

    Args:
        name: of an interpolation or a model, a network's file, or a folder of diffusers' layout.
        by: how many times larger.

    Raises:
        ModelError: it is not there, or is for something else.
        SettingsError: it cannot do that factor.
    """
    if name in INTERPOLATIONS:
        return Method(name=name, kind="resampling", by=by)
    if name in presets.names("models") and bundles.read_card(name).architecture == "ncnn":
        param = bundles.require(name).folder / f"{_OFTEN.format(by)}{NCNN}"
        if not param.is_file():
            raise SettingsError(f"by: expected 2, 3 or 4 with {name}, got {by}")
        return _network(name, param, by)
    if name.endswith(NCNN):
        return _network(name, user_path(name), by)
    known = name in presets.names("models")
    if not known and not is_folder(user_path(name)):
        there = ", ".join((*INTERPOLATIONS, *_models()))
        raise ModelError(
            f"expected a way to make pictures larger, there is no {name}",
            hint=f"There are: {there}; or give a network in ncnn's "
            f"form (NAME{NCNN} beside NAME.bin), or the folder of a Stable Diffusion 3.",
        )
    return _diffusion(name, by)


def _models() -> list[str]:
    names = presets.names("models")
    return [name for name in names if bundles.read_card(name).kind == "upscaler"]


def _network(name: str, param: Path, by: int) -> Method:
    files = {path.name: path for path in (param, param.with_suffix(".bin"))}
    for path in files.values():
        if not path.is_file():
            raise ModelError(
                f"expected a network in ncnn's form, there is no {path}",
                hint=f"It is two files: NAME{NCNN} and NAME.bin.",
            )
    return Method(name=name, kind="network", by=by, files=files)


def _diffusion(name: str, by: int) -> Method:
    base = find_base(name, kinds=("upscaler", "picture"))
    if base.family != "sd3":
        raise ModelError(
            f"{base.path}: expected a Stable Diffusion 3 with a control network for pictures in "
            f"fewer pixels (lowres), this one is of the family {base.family}"
        )
    wanted = PictureControl(kind="lowres", source=MotionSource(path=str(base.path)))
    control = find_control(wanted, base.family, base.path)
    given, where = base.own_table("upscale") or ({}, "")
    settings = decode(DiffusionSettings, given, path=where)
    if settings.by != by:
        raise SettingsError(
            f"by: expected {settings.by}, as {name} was made for, got {by}",
            hint=f"Take {DEFAULT_INTERPOLATION} for that, or make what it made larger once more.",
        )
    files = base.files | {f"control/{path.name}": path for path in control.all}
    return Method(
        name=name, kind="diffusion", by=by, files=files,
        base=base, control=control, settings=settings,
    )  # fmt: skip


def open_upscaler(
    method: Method,
    engine: EngineSettings,
    say: Callable[[str], None],
    *,
    tile: int | None = None,
    seed: int = 0,
    change: float | None = None,
) -> Upscaler:
    """Load a way to make pictures larger.

    Args:
        method: as `recognise` found it.
        engine: which device and number format to use.
        say: takes what is worth a word later on, such as memory running short.
        tile: side in pixels of the result's parts that are made at once; None: as usual.
        seed: of what a diffusion model begins with.
        change: how much a diffusion model may change; None: as it says itself.

    Raises:
        ModelError: the files are not what they should be.
        DeviceError: the device is not there, or cannot hold it.
        SettingsError: the parts are too small, or what may change is less than a step.
    """
    if method.kind == "resampling":
        return Resampler(method.name, method.by)
    if method.kind == "network":
        from marionext.backends.upscaling.networks import open_network  # noqa: PLC0415 - torch

        param = next(path for path in method.files.values() if path.suffix == NCNN)
        return open_network(param, method.by, engine, tile, say)
    from marionext.backends.upscaling.diffusion import open_diffusion  # noqa: PLC0415 - torch

    return open_diffusion(method, engine, say, tile=tile, seed=seed, change=change)
