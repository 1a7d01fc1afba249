"""Write the trained networks as a folder that stock diffusers opens, in half precision.

It is a ``StableDiffusionPipeline`` like any other, with the control network beside it in
``controlnext``: ``control.json`` there says where its map is added.
"""

from collections.abc import Mapping
from pathlib import Path

from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline

from marionext.training.export import write_control, write_pipeline, write_record
from marionext.training.picture.captions import WORDS
from marionext.training.picture.networks import GAIN, SCHEDULER, PictureNetworks
from marionext.training.tokenizer import make_tokenizer

__all__ = ["CONTROL", "export_pipeline"]

OWN_SETTINGS = """\
[settings]
steps = 20
guidance = 3.0
"""
CONTROL = {
    "variant": "sd15_training",
    "kinds": ["pose"],
    "palette": "controlnext",
    "strength": GAIN,
}
"""The map is added where the training code of ControlNeXt for SD 1.5 adds it."""


def export_pipeline(
    folder: Path, vae: AutoencoderKL, networks: PictureNetworks, record: Mapping[str, object]
) -> None:
    """Write configurations, weights, tokenizer and the training record.

    Args:
        folder: files in it are replaced.
        vae: the autoencoder.
        networks: the averaged networks; like the autoencoder they are in half precision after this.
        record: how they were made, for ``training.json``.

    Raises:
        OutputError: a file cannot be written.
    """
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=networks.text_encoder,
        tokenizer=make_tokenizer(WORDS),
        unet=networks.unet,
        scheduler=DDIMScheduler.from_config(SCHEDULER),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    write_pipeline(folder, pipeline)
    write_control(folder, networks.controlnext, CONTROL)
    write_record(folder, "figurine", OWN_SETTINGS, record)
