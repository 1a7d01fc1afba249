"""Write the trained networks as a folder that stock diffusers opens, in half precision.

It is a ``StableDiffusion3Pipeline`` like any other, with the control network beside it in
``controlnext``: ``control.json`` there says after which block its map is added. ``marionext.toml``
says that it is to begin with the enlarged picture, at the noise of the last step.
"""

from collections.abc import Mapping
from pathlib import Path

from marionext.training.export import write_control, write_pipeline, write_record
from marionext.training.upscaler.networks import BLOCK, WORDS, UpscalerNetworks, make_pipeline
from marionext.training.upscaler.pictures import FACTOR

__all__ = ["export_pipeline"]

STEPS = 4
"""Of a whole schedule; the last of them is the one that was learnt."""

OWN_SETTINGS = f"""\
[settings]
steps = {STEPS}
guidance = 1.0
words = {WORDS}

[upscale]
by = {FACTOR}
tile = {{tile}}
overlap = {{overlap}}
change = {1 / STEPS}
start = "lanczos"
"""
CONTROL = {"variant": "sd3", "kinds": ["lowres"], "block": BLOCK}


def export_pipeline(folder: Path, networks: UpscalerNetworks, record: Mapping[str, object]) -> None:
    """Write configurations, weights, tokenizers and the training record.

    Args:
        folder: files in it are replaced.
        networks: the averaged networks; they are in half precision after this.
        record: how they were made, for ``training.json``.

    Raises:
        OutputError: a file cannot be written.
    """
    networks.half()
    write_pipeline(folder, make_pipeline(networks.transformer))
    write_control(folder, networks.controlnext, CONTROL)
    tile = int(networks.transformer.config.sample_size)
    own = OWN_SETTINGS.format(tile=tile, overlap=tile // 4)
    write_record(folder, "upscaler", own, record)
