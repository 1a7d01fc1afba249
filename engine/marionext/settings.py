"""How models render: one type of settings for each architecture, and a model's own as defaults.

A model's card names its architecture (`marionext.bundles.ModelCard`), and the architecture the type
of ``settings`` in a job. What is the same for all models is in `marionext.jobs`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from marionext import bundles, limits, presets
from marionext.codec import decode
from marionext.errors import ModelError, SettingsError
from marionext.paths import check_path

__all__ = [
    "DEFAULT_INTERPOLATION",
    "DEFAULT_MODEL",
    "DEFAULT_PICTURE_MODEL",
    "DEFAULT_UPSCALER",
    "INTERPOLATIONS",
    "SETTINGS",
    "DollSettings",
    "Settings",
    "SvdSettings",
    "default_settings",
    "within",
]

DEFAULT_MODEL = "doll"
"""What renders where nobody names a model: built in, and at home on any machine."""

DEFAULT_PICTURE_MODEL = "figurine"
"""What makes pictures where nobody names a base: built in, and at home on any machine."""

INTERPOLATIONS = ("bicubic", "lanczos")
"""Ways to make pictures larger that need no model."""

DEFAULT_UPSCALER = "upscaler"
"""What makes pictures twice as large where nobody says how: built in."""

DEFAULT_INTERPOLATION = "lanczos"
"""What makes them larger by another factor."""

_USES = {
    "picture": "Make a character with it: marionext image --base {} ...",
    "control": "Name it in a control: marionext image --control KIND=PICTURE,weights={} ...",
    "upscaler": "Make frames larger with it: marionext upscale FRAMES --with {} ...",
}
"""How models that render no motions are used."""


def within(name: str, value: float, low: float, high: float) -> None:
    """Refuse a number outside of its range.

    Raises:
        SettingsError: naming it, the range and the number.
    """
    if not low <= value <= high:
        raise SettingsError(
            f"{name}: expected a number from {low:g} to {high:g}, got {limits.quoted(value)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SvdSettings:
    """How Stable Video Diffusion renders; the defaults are those of the reference."""

    sides: ClassVar[str] = "the model wants multiples of 64"
    """What width and height are rounded for."""

    kind: Literal["svd"] = "svd"
    """The architecture of the models that these are for."""
    width: int = 576
    """Pixels; rounded to a multiple of 64, which is said."""
    height: int = 1024
    seed: int = 0
    noise: Literal["frame", "run"] = "frame"
    """What a frame's noise belongs to: its number, so that a part rendered alone begins with the
    same noise; or its place in the run, as in the reference and in renders before version 0.2."""
    steps: int = 25
    schedule: Literal["karras", "ays"] = "karras"
    """Noise levels: Karras et al. 2022, or Align Your Steps (Sabour et al. 2024)."""
    guidance_min: float = 3.0
    """Classifier-free guidance at a window's first frame, rising to ``guidance_max`` at its last;
    1 means none."""
    guidance_max: float = 3.0
    control_strength: float = 1.0
    """1 as the model was trained; 0 ignores the poses."""
    window: int = 24
    """Frames denoised together, the reference slot included."""
    overlap: int = 6
    """Frames that neighbouring windows share at least."""
    blend: Literal["shifted", "crossfade", "uniform"] = "shifted"
    """How windows are joined: frames they share cross-fade or weigh the same; ``shifted``:
    cross-faded, and in every other step the windows are where the seams were."""
    noise_augmentation: float = 0.02
    """Deviation of the noise added to the character picture (-1 to 1) before it is encoded."""
    motion_bucket: int = 128
    """SVD's measure of motion; trained at 128 here."""
    fps_id: int = 6
    """SVD's frame-rate condition (frames per second less one); trained at 6 here."""
    decode_chunk: int = 2
    """Frames decoded together; the decoder mixes within a chunk, so this changes pixels."""
    skip_uncond_below: float = 0.0
    """Leave guidance out at noise levels below this."""
    parity: bool = False
    """Do as the reference does to the last bit: fp32, its windows, uniform averaging."""

    def __post_init__(self) -> None:
        """Check every range once."""
        within("width", self.width, 64, limits.RENDER_SIDE)
        within("height", self.height, 64, limits.RENDER_SIDE)
        within("seed", self.seed, 0, 2**63 - 1)
        within("steps", self.steps, 1, 1000)
        within("guidance_min", self.guidance_min, 0, 100)
        within("guidance_max", self.guidance_max, 0, 100)
        within("control_strength", self.control_strength, 0, 10)
        within("window", self.window, 2, 1024)
        if not 0 <= self.overlap < self.window:
            raise SettingsError(
                f"overlap: expected 0 up to less than the window ({self.window}), "
                f"got {self.overlap}"
            )
        within("noise_augmentation", self.noise_augmentation, 0, 10)
        within("motion_bucket", self.motion_bucket, 0, 1023)
        within("fps_id", self.fps_id, 0, 240)
        within("decode_chunk", self.decode_chunk, 1, 1024)
        within("skip_uncond_below", self.skip_uncond_below, 0, 1000)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, each rounded to the nearest multiple of 64 (at least 64)."""
        width, height = (max(64, (side + 32) // 64 * 64) for side in (self.width, self.height))
        return width, height


@dataclass(frozen=True, slots=True, kw_only=True)
class DollSettings:
    """How a paper doll renders: each frame is drawn of the character's own picture."""

    sides: ClassVar[str] = "videos want even numbers"
    """What width and height are rounded for."""

    kind: Literal["doll"] = "doll"
    """The architecture of the models that these are for."""
    width: int = 512
    """Pixels; rounded up to an even number, which is said."""
    height: int = 768
    others: tuple[str, ...] = ()
    """Pictures (or folders of dolls) of the second person of the motion, the third ...; whoever has
    none of his own looks like the one before."""
    refine: Literal["auto", "off"] = "off"
    """``auto``: a small network mends the frames of characters in flat colours, where its weights
    are there; ``off``: frames stay as they are drawn."""

    def __post_init__(self) -> None:
        """Check every range once."""
        within("width", self.width, 16, limits.RENDER_SIDE)
        within("height", self.height, 16, limits.RENDER_SIDE)
        for other in self.others:
            check_path("others", other)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, each rounded up to an even number."""
        return self.width + self.width % 2, self.height + self.height % 2


Settings = SvdSettings | DollSettings
"""Those of any architecture; the first is meant where a record of old names no kind."""

SETTINGS: dict[str, type[SvdSettings] | type[DollSettings]] = {
    "svd": SvdSettings,
    "doll": DollSettings,
}
"""The type of the settings for each architecture."""


def default_settings(model: str, quality: str | None = None) -> Settings:
    """Return a model's own settings, with a quality preset laid over them.

    Args:
        model: name of a bundle or its folder; one that is not there counts as ``svd``, since a host
            may write a job for another machine.
        quality: name of a quality preset, or None.

    Raises:
        SettingsError: no such preset, or the model is of an architecture that is not known here.
    """
    try:
        bundle = bundles.find(model)
    except ModelError:
        bundle = bundles.find(bundles.USUAL)
    architecture = bundle.card.architecture
    if bundle.card.kind != "video":
        raise SettingsError(
            f"model {model!r}: expected one that renders motions, this one {bundle.card.does}",
            hint=_USES[bundle.card.kind].format(bundle.name),
        )
    if architecture not in SETTINGS:
        raise SettingsError(
            f"model {model!r}: expected an architecture among {', '.join(SETTINGS)}, "
            f"got {architecture!r}",
            hint="Update Marionext.",
        )
    settings: Settings = SETTINGS[architecture]()
    for fragment in (bundles.settings_of(bundle), _quality_settings(quality, architecture, model)):
        settings = decode(type(settings), fragment, base=settings)
    return settings


def _quality_settings(quality: str | None, architecture: str, model: str) -> dict[str, Any]:
    """Return what a quality preset says of an architecture, and then of the model itself."""
    if quality is None:
        return {}
    preset = presets.read("quality", quality)
    return {**preset.get(architecture, {}), **preset.get("for", {}).get(model, {})}
