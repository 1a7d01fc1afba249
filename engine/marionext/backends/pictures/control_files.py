"""Which control network belongs to a control, and which files it is made of.

A control network is a folder: its weights (``controlnext.safetensors``, or ``controlnet`` as its
authors call it), perhaps a change of some of the base's weights (``unet.safetensors``), and
``control.json``, which says what it was trained for. Of a single file, and of a folder without
``control.json``, its hash tells, or else its shapes and the base.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from marionext import bundles, presets
from marionext.backends.pictures.families import FAMILIES, FamilyName
from marionext.backends.pictures.recognise import read_configuration, read_shapes, text_width
from marionext.bundles import ModelCard, known_file
from marionext.codec import decode
from marionext.errors import ModelError, SettingsError
from marionext.files import is_folder
from marionext.job_files import is_weight_file
from marionext.jobs import PictureControl
from marionext.paths import user_path

__all__ = ["SETTINGS_FILE", "ControlFiles", "ControlSettings", "find_control"]

SETTINGS_FILE = "control.json"
"""File of a control network's folder that says what it was trained for."""

VariantName = Literal["sd15", "sd15_training", "sdxl", "sd3"]

_STEMS = ("controlnext", "controlnet", "diffusion_pytorch_model")
_CHANGES = ("unet", "increments", "transformer")
_SUFFIXES = (".safetensors", ".fp16.safetensors", ".bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSettings:
    """What a control network was trained for."""

    variant: VariantName
    """Where and how its map is added: `marionext.diffusion.image_variants`."""
    kinds: tuple[str, ...] = ()
    """Kinds of control pictures that it understands; none: not known."""
    palette: Literal["controlnext", "openpose"] = "openpose"
    """Colours of the pose maps that it was trained on."""
    strength: float = 1.0
    """Factor that goes with its weights."""
    changes: Literal["add", "replace"] = "add"
    """Whether the change of the base's weights is increments or takes the weights' place."""
    block: int = 0
    """Of a transformer: after which block the map is added, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlFiles:
    """The files of one control network."""

    name: str
    weights: Path
    settings: ControlSettings
    config: Path | None = None
    """Its shape as `ControlNeXtConfig`, where it is not that of a release."""
    changes: Path | None = None

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file."""
        return tuple(path for path in (self.weights, self.config, self.changes) if path is not None)


def find_control(control: PictureControl, family: FamilyName, base: Path | None) -> ControlFiles:
    """Return the control network of a control.

    Args:
        control: as the job has it.
        family: of the base.
        base: folder of the base, which may hold control networks of its own; None: one file.

    Raises:
        ModelError: there is none for this kind and family, it is not on this machine, or the one
            that is named is for another family.
    """
    found = _found(control, family, base)
    _refuse_other(found, family)
    return found if control.changes else replace(found, changes=None)


def _found(control: PictureControl, family: FamilyName, base: Path | None) -> ControlFiles:
    if control.weights is None:
        return _usual(control, family, base)
    if is_weight_file(control.weights):
        return _of_file(user_path(control.weights), family)
    return _of_folder(_named(control.weights), family)


def _refuse_other(found: ControlFiles, family: FamilyName) -> None:
    wanted = found.settings.variant.partition("_")[0]
    if wanted != family:
        raise ModelError(
            f"{found.weights}: expected a control network for {FAMILIES[family].title}, "
            f"this one is for {_title(wanted)}",
            hint="Take a base of its family, or leave the weights out for the usual ones.",
        )


def _title(family: str) -> str:
    return FAMILIES[family].title if family in FAMILIES else family


def _named(name: str) -> tuple[Path, ControlSettings | None]:
    """Return the folder of a control network by its name or path, and what its card says."""
    if name in presets.names("models"):
        bundle = bundles.require(name)
        if bundle.card.kind != "control":
            raise ModelError(
                f"model {name!r}: expected a control network, this one is for {bundle.card.kind}s"
            )
        return bundle.folder, _card_settings(bundle.card, name)
    folder = user_path(name)
    if not is_folder(folder):
        raise ModelError(
            f"no control network is called {name!r}, and there is no folder of that name",
            hint=f"There are: {', '.join(each for each, _, _ in _cards()) or 'none'}.",
        )
    return folder, None


def _cards() -> Iterator[tuple[str, ModelCard, ControlSettings]]:
    for name in presets.names("models"):
        card = bundles.read_card(name)
        if card.kind == "control":
            yield name, card, _card_settings(card, name)


def _card_settings(card: ModelCard, name: str) -> ControlSettings:
    try:
        return decode(ControlSettings, card.settings)
    except SettingsError as error:
        raise ModelError(f"the card of model {name!r} is wrong: {error.message}") from None


def _usual(control: PictureControl, family: FamilyName, base: Path | None) -> ControlFiles:
    """Return the base's own network for a kind, else the one that a card of ours names."""
    own: list[str] = []
    if base is not None:
        for folder in sorted(base.glob("controlnext*")):
            if (folder / SETTINGS_FILE).is_file():
                found = _of_folder((folder, None), family)
                if control.kind in found.settings.kinds:
                    return found
                own += found.settings.kinds
        # The published networks are for bases of the published widths.
        if own and text_width(base, family) != FAMILIES[family].context:
            raise ModelError(
                f"no {control.kind} control is known for {base.name}, which understands "
                f"{' and '.join(own)} control",
                hint="Take another base for it, such as --base sd15, or name a network that was "
                f"trained for this one: --control {control.kind}=...,weights=FOLDER.",
            )
    known = [
        name
        for name, card, settings in _cards()
        if card.architecture == family and control.kind in settings.kinds
    ]
    for name in known:
        bundle = bundles.find(name)
        if not any(problem.fatal for problem in bundles.check(bundle, hashes=False)):
            return _of_folder(_named(name), family)
    what = f"{control.kind} control and {FAMILIES[family].title}"
    if not known:
        raise ModelError(
            f"no control network is known for {what}",
            hint=f"Name one of your own: --control {control.kind}=...,weights=FOLDER or a file.",
        )
    raise ModelError(
        f"no control network for {what} is on this machine",
        hint=f"Run 'marionext models pull {known[0]}', or name one of your own: "
        f"--control {control.kind}=...,weights=FOLDER or a file.",
    )


def _of_file(path: Path, family: FamilyName) -> ControlFiles:
    """Return what a single file is: by its hash, else by its shapes and the base."""
    if not path.is_file():
        raise ModelError(f"no such file: {path}")
    if (known := known_file(path)) is not None:
        card = bundles.read_card(known.card)
        if card.kind == "control":
            return ControlFiles(
                name=known.card, weights=path, settings=_card_settings(card, known.card)
            )
        raise ModelError(
            f"{path}: expected a control network for pictures, its hash says that it is "
            f"{known.file.path} of {card.title}",
        )
    return ControlFiles(
        name=path.stem, weights=path, settings=ControlSettings(variant=_guessed(path, family))
    )


def _guessed(path: Path, family: FamilyName) -> VariantName:
    """Return the release that weights of unknown origin have the shapes of."""
    if path.suffix != ".safetensors":
        return family  # their shapes are seen when they are opened
    shapes = read_shapes(path)
    if "mid_convs.0.0.weight" not in shapes:
        raise ModelError(
            f"{path}: expected a control network (ControlNeXt), none of its {len(shapes)} tensors "
            f"is called mid_convs.0.0.weight: {', '.join(list(shapes)[:3])}",
            hint="ControlNets and T2I adapters are other networks.",
        )
    if "embedding.0.weight" not in shapes:
        return "sd15"
    return "sd15_training" if family == "sd15" else family


def _of_folder(named: tuple[Path, ControlSettings | None], family: FamilyName) -> ControlFiles:
    folder, settings = named
    weights = _first(folder, _STEMS)
    if weights is None:
        raise ModelError(
            f"{folder}: expected a control network, found no {', no '.join(_STEMS)} "
            "(.safetensors or .bin)"
        )
    own = folder / SETTINGS_FILE
    if settings is None and own.is_file():
        try:
            settings = decode(ControlSettings, read_configuration(own))
        except SettingsError as error:
            raise ModelError(f"{own}: {error.message}", hint=error.hint) from None
    found = _of_file(weights, family)
    config = folder / "config.json"
    return replace(
        found,
        name=found.name if found.name != weights.stem else folder.name,
        settings=settings or found.settings,
        config=config if config.is_file() else None,
        changes=_first(folder, _CHANGES),
    )


def _first(folder: Path, stems: tuple[str, ...]) -> Path | None:
    places = (folder / f"{stem}{suffix}" for stem in stems for suffix in _SUFFIXES)
    return next((place for place in places if place.is_file()), None)
