"""Write what was trained as a bundle's folder: the control network and the UNet's increments.

Of the UNet only the increments are written, W - W_base in half precision, the way ControlNeXt's
weights for SDXL travel: a light plug-in where a few layers were trained. Everything else is taken
from the base when the bundle is loaded, and `marionext.bundles` sees to it that it is the same one.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from marionext import bundles, presets
from marionext.bundles import INCREMENTS, FileRecord, ModelBundle
from marionext.codec import decode, encode
from marionext.diffusion.controlnext import ControlNeXtSVD
from marionext.errors import ModelError, SettingsError
from marionext.files import sha256_of, write_bytes, write_json
from marionext.settings import SvdSettings, default_settings
from marionext.training.finetune.settings import FinetuneSettings

__all__ = ["base_identity", "model_name", "write_result"]

CONTROL = "controlnext/controlnext.safetensors"
CONTROL_SHAPE = "controlnext/config.json"
SOURCE = "marionext train"


def model_name(bundle: ModelBundle) -> str:
    """Return what finds a bundle again: its known name, or its folder."""
    return bundle.name if bundle.name in presets.names("models") else bundle.folder.as_posix()


def base_identity(bundle: ModelBundle) -> dict[str, str]:
    """Return the hashes of the UNet's weights that a bundle's increments are made for."""
    return {
        name: digest
        for name, digest in bundles.fingerprint(bundle).items()
        if name.startswith("unet") and not name.endswith(".json")
    }


def write_result(
    folder: Path,
    base: ModelBundle,
    settings: FinetuneSettings,
    control: ControlNeXtSVD,
    increments: Mapping[str, Tensor],
    record: Mapping[str, object],
) -> None:
    """Write the bundle; files of an earlier one are replaced.

    Args:
        folder: the bundle's.
        base: what was trained from.
        settings: of the training.
        control: the control network.
        increments: of the base UNet's weights, by their names; may be empty.
        record: how it was made, for ``training.json``.

    Raises:
        OutputError: a file cannot be written.
    """
    names = [CONTROL_SHAPE, CONTROL]
    write_json(folder / CONTROL_SHAPE, encode(control.config))
    write_bytes(folder / CONTROL, save(_plain(control), {"format": "pt"}))
    changed = {
        name: value.to(torch.float16).contiguous()
        for name, value in increments.items()
        if value.any()
    }
    if changed:
        write_bytes(folder / INCREMENTS, save(changed, {"format": "pt"}))
        names.append(INCREMENTS)
    else:
        (folder / INCREMENTS).unlink(missing_ok=True)
    write_json(folder / "training.json", record)
    write_bytes(folder / "marionext.toml", _own_settings(base, settings).encode())
    records = {
        name: FileRecord(
            size=(folder / name).stat().st_size, sha256=sha256_of(folder / name), source=SOURCE
        )
        for name in names
    }
    bundles.write_record(
        folder,
        bundles.card_name(base),
        records,
        base={"model": model_name(base), "files": base_identity(base) if changed else {}},
    )


def _plain(network: nn.Module) -> dict[str, Tensor]:
    return {
        name: value.detach().float().cpu().contiguous()
        for name, value in network.state_dict().items()
    }


def rendered_with(bundle: ModelBundle) -> SvdSettings:
    """Return the settings that a model of SVD's classes is rendered with.

    Raises:
        ModelError: it is of another architecture, so that there is nothing to train.
    """
    usual = default_settings(model_name(bundle))
    if not isinstance(usual, SvdSettings):
        raise ModelError(
            f"expected a model of Stable Video Diffusion's classes, {bundle.name!r} is of the "
            f"architecture {usual.kind!r}: there is nothing in it to train like this",
            hint="Begin with --bundle puppet or --bundle svd.",
        )
    return usual


def _own_settings(base: ModelBundle, settings: FinetuneSettings) -> str:
    """Return ``marionext.toml``: the base's settings, at the size and window of the training."""
    usual = rendered_with(base)
    overlap = min(usual.overlap, settings.window - 1)
    trained = {"window": settings.window, "overlap": overlap}
    size = {"width": settings.width, "height": settings.height}
    try:
        own = encode(decode(SvdSettings, {**trained, **size}, base=usual))
    except SettingsError:
        # Trained smaller than anything is rendered: at the base's size, then.
        own = encode(decode(SvdSettings, trained, base=usual))
    lines = [
        f"card = {json.dumps(bundles.card_name(base))}",
        f"base = {json.dumps(model_name(base))}",
        "",
        "[settings]",
        *(f"{name} = {json.dumps(value)}" for name, value in own.items()),
    ]
    return "\n".join(lines) + "\n"
