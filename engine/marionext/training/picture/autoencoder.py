"""The puppet's autoencoder as one for pictures: nothing of it is trained again.

Its temporal layers are switched off, so that it keeps every frame by itself: what is left is
Stable Diffusion's autoencoder with one silent block more in its middle. A test holds them equal.
"""

from diffusers import AutoencoderKL, AutoencoderKLTemporalDecoder
from torch import nn

__all__ = ["picture_autoencoder"]

_OF_TIME = ("temporal_res_block", "time_mixer", "time_conv_out")


def picture_autoencoder(video: AutoencoderKLTemporalDecoder) -> AutoencoderKL:
    """Return what an autoencoder of the puppet's does to single pictures.

    Args:
        video: of one layer a block, its temporal layers mixed in with weight 0.
    """
    config = video.config
    levels = len(config.block_out_channels)
    picture = AutoencoderKL(
        block_out_channels=config.block_out_channels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=config.layers_per_block,
        latent_channels=config.latent_channels,
        scaling_factor=config.scaling_factor,
        force_upcast=False,
        use_post_quant_conv=False,
    )
    # Of the two blocks in the middle the puppet's decoder has the first.
    for silent in (
        picture.decoder.mid_block.resnets[1].conv2,
        picture.decoder.mid_block.attentions[0].to_out[0],
    ):
        nn.init.zeros_(silent.weight)
        nn.init.zeros_(silent.bias)
    weights = picture.state_dict()
    given = {
        name.replace(".spatial_res_block", ""): value
        for name, value in video.state_dict().items()
        if not any(part in name for part in _OF_TIME)
    }
    # The puppet's one attention comes before no block, and is never asked.
    kept = {name: value for name, value in given.items() if "decoder.mid_block.att" not in name}
    picture.load_state_dict({**weights, **kept})
    return picture.requires_grad_(requires_grad=False).eval()
