"""A base's folder, or its one file, becomes the parts of a stock diffusers pipeline.

Every network is compared with its weights: one that is missing a tensor would otherwise be filled
with noise, and draw noise. Nothing is fetched: configurations and tokenizers of a base in one file
come from a folder on this machine.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import diffusers
import torch
import transformers
from diffusers.loaders.single_file_utils import SingleFileComponentError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from marionext.backends.pictures.control_files import ControlFiles
from marionext.backends.pictures.families import FAMILIES, FamilyName
from marionext.backends.pictures.recognise import (
    missing_parts,
    predicts_velocity,
    read_configuration,
    read_shapes,
)
from marionext.backends.pictures.schedulers import scheduler_names
from marionext.codec import decode
from marionext.diffusion.controlnext import ControlNeXt, ControlNeXtConfig
from marionext.diffusion.image_variants import (
    SD15,
    SD15_TRAINING,
    SD_3,
    SDXL,
    ImageVariant,
    WeightChange,
)
from marionext.diffusion.weights import as_safetensors, fill
from marionext.errors import ModelError, SettingsError
from marionext.limits import quoted

__all__ = ["ControlNetwork", "load_autoencoder", "load_base", "load_control", "quiet_libraries"]

Loaded = TypeVar("Loaded")

_PIPELINES = {
    "sd15": "StableDiffusionPipeline",
    "sdxl": "StableDiffusionXLPipeline",
    "sd3": "StableDiffusion3Pipeline",
}
_TEXT_ENCODERS = ("CLIPTextModel", "CLIPTextModelWithProjection", "T5EncoderModel")
"""What a configuration may name: nothing else of a library is made because a file says so."""
_FAILURES = (
    AttributeError,
    EnvironmentError,
    ImportError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    SafetensorError,
    SingleFileComponentError,
    TypeError,
    ValueError,
)
"""What the libraries raise on files that are not what they should be."""
_VARIANTS = {"sd15": SD15, "sd15_training": SD15_TRAINING, "sdxl": SDXL, "sd3": SD_3}


def quiet_libraries() -> None:
    """Keep bars and remarks of the libraries out of what the user reads; errors still come."""
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Say in our words where a library cannot read a part of a base."""
    try:
        with warnings.catch_warnings():
            # Libraries warn of each other's versions; the user can do nothing about it.
            warnings.simplefilter("ignore")
            yield
    except _FAILURES as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ModelError(
            f"{what} cannot be loaded: {lines[0] if lines else type(error).__name__}",
            hint="Is the folder whole? A base is a folder in diffusers' layout, or one "
            ".safetensors file with --config FOLDER for its tokenizers.",
        ) from None


def load_base(
    base: Path,
    family: FamilyName,
    dtype: torch.dtype,
    *,
    config: Path | None = None,
    vae: Path | None = None,
) -> Any:
    """Load a base on the processor, as the stock pipeline of its family.

    Args:
        base: folder of diffusers' layout, or a checkpoint in one file.
        family: of it.
        dtype: format of its numbers.
        config: folder that configurations and tokenizers are taken from, for a file.
        vae: folder or file of an autoencoder to take instead of its own.

    Raises:
        ModelError: a part is missing, damaged, or of another network.
    """
    parts = _of_folder(base, family, dtype) if base.is_dir() else None
    pipeline = getattr(diffusers, _PIPELINES[family])
    with _explained(str(base)):
        if parts is not None:
            made = pipeline(**parts)
        else:
            made = _of_file(base, family, pipeline, dtype, config, vae)
    if vae is not None and parts is not None:
        made.vae = _autoencoder(vae, dtype, base)
    _check(base, made)
    made.set_progress_bar_config(disable=True)
    for part in made.components.values():
        if isinstance(part, nn.Module):
            part.requires_grad_(requires_grad=False).eval()
            _own_memory(part)
    return made


def _of_folder(base: Path, family: FamilyName, dtype: torch.dtype) -> dict[str, Any]:
    """Load the parts one by one, each compared with its weights."""
    kind = FAMILIES[family]
    network = diffusers.SD3Transformer2DModel if family == "sd3" else diffusers.UNet2DConditionModel
    parts: dict[str, Any] = {
        kind.network: _network(network, base / kind.network, dtype),
        "vae": _network(diffusers.AutoencoderKL, base / "vae", dtype),
        "scheduler": _scheduler(base),
    }
    for name in kind.text_encoders:
        folder, optional = base / name.rstrip("?"), name.endswith("?")
        tokenizer = folder.name.replace("text_encoder", "tokenizer")
        there = (folder / "config.json").is_file() or not optional
        parts[folder.name] = _text_encoder(folder, dtype) if there else None
        parts[tokenizer] = _tokenizer(base / tokenizer) if there else None
    if family == "sd15":
        parts |= {"safety_checker": None, "feature_extractor": None}
        parts["requires_safety_checker"] = False
    return parts


def _network(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    read_configuration(folder / "config.json")
    return _whole(
        folder,
        lambda: kind.from_pretrained(
            str(folder),
            torch_dtype=dtype,
            local_files_only=True,
            output_loading_info=True,
            variant=_precision(folder, dtype),
            use_safetensors=_is_safe(folder),
        ),
    )


def _text_encoder(folder: Path, dtype: torch.dtype) -> Any:
    names = read_configuration(folder / "config.json").get("architectures") or [""]
    if names[0] not in _TEXT_ENCODERS:
        raise ModelError(
            f"{folder}: expected a text encoder among {', '.join(_TEXT_ENCODERS)}, the "
            f"configuration is of {quoted(names[0])}"
        )
    kind = getattr(transformers, names[0])
    return _whole(
        folder,
        lambda: kind.from_pretrained(
            str(folder),
            dtype=dtype,
            local_files_only=True,
            output_loading_info=True,
            variant=_precision(folder, dtype),
            use_safetensors=_is_safe(folder),
        ),
    )


def _is_safe(folder: Path) -> bool:
    """Tell whether there are safetensors; pickles are opened without executing what is in them."""
    return any(folder.glob("*.safetensors")) or not any(folder.glob("*.bin"))


def _precision(folder: Path, dtype: torch.dtype) -> str | None:
    """Return the variant of the weights to read: half precision where that is wanted or all."""
    ending = ".safetensors" if _is_safe(folder) else ".bin"
    names = [path.name for path in folder.iterdir() if path.suffix == ending]
    half = [name for name in names if ".fp16" in name]
    return "fp16" if half and (dtype != torch.float32 or half == names) else None


def _whole(folder: Path, load: Callable[[], tuple[Any, Mapping[str, Any]]]) -> Any:
    """Return what was loaded, after a look at what was missing.

    Raises:
        ModelError: the weights are not those of the network.
    """
    with _explained(str(folder)):
        loaded, info = load()
    parts = [
        f"{len(info[kind])} {words}: {', '.join(sorted(map(str, info[kind]))[:4])}"
        for kind, words in (
            ("missing_keys", "missing"),
            ("unexpected_keys", "unexpected"),
            ("mismatched_keys", "of another shape"),
        )
        if info.get(kind)
    ]
    if parts:
        raise ModelError(
            f"{folder}: these are not the weights of this network; {'; '.join(parts)}",
            hint="The file belongs to another model, or to another version of it.",
        )
    return loaded


def _tokenizer(folder: Path) -> Any:
    with _explained(str(folder)):
        if not folder.is_dir():
            raise ModelError(
                f"{folder}: missing",
                hint="A base is a folder in diffusers' layout, tokenizers among it.",
            )
        # Code that came with the files is never run, and nobody is asked whether it may be.
        return transformers.AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )


def _scheduler(base: Path) -> Any:
    config = read_configuration(base / "scheduler" / "scheduler_config.json")
    name = str(config.get("_class_name"))
    if name not in scheduler_names().values():
        raise ModelError(
            f"{base / 'scheduler'}: {quoted(name)} is no scheduler of diffusers "
            f"{diffusers.__version__}"
        )
    kind = getattr(diffusers, name)
    return kind.from_config(config)


def _of_file(
    base: Path,
    family: FamilyName,
    pipeline: Any,
    dtype: torch.dtype,
    config: Path | None,
    vae: Path | None,
) -> Any:
    if config is None:
        raise ModelError(
            f"{base} holds weights alone: its configurations and tokenizers are needed, too",
            hint=f"Say where they are with --config FOLDER (any {FAMILIES[family].title} in "
            f"diffusers' layout, weights or not), or run 'marionext models pull {family}' once.",
        )
    read_configuration(config / "model_index.json")
    given: dict[str, Any] = {}
    if family == "sd15":
        given = {"safety_checker": None, "feature_extractor": None}
    if family == "sd3":
        given = {"text_encoder_3": None, "tokenizer_3": None}
    for part in missing_parts(base, family):
        if part != "vae" or vae is None:
            given[part] = _borrowed(part, base, config, dtype)
    if vae is not None:
        given["vae"] = _autoencoder(vae, dtype, config)
    made = pipeline.from_single_file(
        str(base), config=str(config), local_files_only=True, torch_dtype=dtype, **given
    )
    if predicted := predicts_velocity(base):
        made.scheduler = type(made.scheduler).from_config(made.scheduler.config, **predicted)
    return made


def _borrowed(part: str, base: Path, config: Path, dtype: torch.dtype) -> Any:
    """Load a part that a checkpoint lacks from the folder of its configurations.

    Raises:
        ModelError: it has no weights of it either.
    """
    folder = config / part
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        raise ModelError(
            f"{base} has no {part}, and {folder} has no weights of one",
            hint="Name an autoencoder with --vae FOLDER or FILE."
            if part == "vae"
            else "Say --config FOLDER with a whole base of this family: its text encoders are "
            "taken.",
        )
    if part == "vae":
        return _network(diffusers.AutoencoderKL, folder, dtype)
    return _text_encoder(folder, dtype)


def _autoencoder(vae: Path, dtype: torch.dtype, config: Path | None) -> Any:
    if vae.is_dir():
        return _network(diffusers.AutoencoderKL, vae, dtype)
    if config is None:
        raise ModelError(f"{vae} holds weights alone: name a folder of diffusers' layout instead")
    if not any("decoder.conv_in" in name for name in read_shapes(vae)):
        raise ModelError(f"{vae}: expected an autoencoder, its tensors are of something else")
    with _explained(str(vae)):
        return diffusers.AutoencoderKL.from_single_file(
            str(vae), config=str(config), subfolder="vae", local_files_only=True, torch_dtype=dtype
        )


def load_autoencoder(
    base: Path, family: FamilyName, dtype: torch.dtype, *, config: Path | None = None
) -> Any:
    """Load a base's own autoencoder alone, on the processor.

    Args:
        base: folder of diffusers' layout, or a checkpoint in one file.
        family: of it.
        dtype: format of its numbers.
        config: folder that its configuration is taken from, for a file.

    Raises:
        ModelError: it is missing, damaged, or of another network.
    """
    if base.is_dir():
        made = _autoencoder(base / "vae", dtype, config)
    elif config is not None and "vae" in missing_parts(base, family):
        made = _borrowed("vae", base, config, dtype)
    else:
        made = _autoencoder(base, dtype, config)
    made.requires_grad_(requires_grad=False).eval()
    _own_memory(made)
    return made


def _check(base: Path, pipeline: Any) -> None:
    """Refuse a pipeline with a network that has no values, or one that does not fit the others.

    Raises:
        ModelError: a tensor is missing, or two networks disagree about a width they share.
    """
    for name, part in pipeline.components.items():
        if not isinstance(part, nn.Module):
            continue
        missing = [key for key, value in part.state_dict().items() if value.is_meta]
        if missing:
            raise ModelError(
                f"{base}: {len(missing)} tensors of its {name} are missing: "
                f"{', '.join(missing[:4])}",
                hint="The file is of another model, or was cut off.",
            )
    network = getattr(pipeline, "unet", None) or pipeline.transformer
    found, expected = network.config.in_channels, pipeline.vae.config.latent_channels
    if found != expected:
        raise ModelError(
            f"{base}: its networks do not fit each other: {type(network).__name__} takes {found} "
            f"channels, the autoencoder has {expected}",
            hint="Name an autoencoder of the base's own family, or none.",
        )


def _own_memory(network: nn.Module) -> None:
    """Copy weights out of the file that they are mapped to.

    There they lie at odd addresses, which some kernels answer with another rounding, and would die
    with the file.
    """
    for value in (*network.parameters(), *network.buffers()):
        value.data = value.data.clone()


class ControlNetwork:
    """A control network that is loaded, and the change of the base's weights that goes with it."""

    def __init__(self, files: ControlFiles, variant: ImageVariant, network: ControlNeXt) -> None:
        self.files = files
        self.variant = variant
        self.network = network

    @property
    def scale(self) -> Tensor | float:
        """Factor that its weights hold; 1 where they hold none."""
        return self.network.scale if self.variant.config.learned_scale else 1.0

    def change(self) -> WeightChange | None:
        """Read the change of the base's weights, where there is one.

        Raises:
            ModelError: the file is damaged.
        """
        if self.files.changes is None:
            return None
        path = self.files.changes
        with _explained(str(path)), safe_open(path, framework="pt") as file:
            values = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        return WeightChange(str(path), values, self.files.settings.changes)


def load_control(files: ControlFiles, dtype: torch.dtype, converted: Path) -> ControlNetwork:
    """Load a control network on the processor.

    Args:
        files: found by `find_control`.
        dtype: format of its numbers.
        converted: folder for weights that had to be converted, where their own cannot be written.

    Raises:
        ModelError: the weights are not those of such a network.
    """
    variant = _VARIANTS[files.settings.variant]
    if files.config is not None:
        try:
            config = decode(ControlNeXtConfig, read_configuration(files.config))
        except SettingsError as error:
            raise ModelError(f"{files.config}: {error.message}", hint=error.hint) from None
    else:
        config = replace(variant.config, out_channels=_channels(files.weights, variant))
    variant = replace(variant, config=config, block=files.settings.block)
    with torch.device("meta"):
        network = ControlNeXt(config)
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    fill(network, as_safetensors(files.weights, expected, spare=converted), dtype)
    return ControlNetwork(files, variant, network.requires_grad_(requires_grad=False).eval())


def _channels(weights: Path, variant: ImageVariant) -> int:
    """Return how many channels a network's map has by its last convolution."""
    if weights.suffix != ".safetensors":
        return variant.config.out_channels
    with _explained(str(weights)), safe_open(weights, framework="pt") as file:
        if "mid_convs.1.weight" not in file.keys():  # noqa: SIM118 - the file is no mapping
            return variant.config.out_channels
        return int(file.get_slice("mid_convs.1.weight").get_shape()[0])
