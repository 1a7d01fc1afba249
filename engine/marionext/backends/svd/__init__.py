"""Stable Video Diffusion with ControlNeXt: a character's picture and pose maps in, frames out.

Names are imported when they are first used: `estimate` and its like answer without torch.
"""

from typing import TYPE_CHECKING, Any

from marionext.lazy import load_name

if TYPE_CHECKING:
    from marionext.backends.svd.budget import Estimate, estimate, plan
    from marionext.backends.svd.decoding import decode
    from marionext.backends.svd.denoising import DenoiseProgress, denoise
    from marionext.backends.svd.loading import Models, load_models
    from marionext.backends.svd.shape import BundleShape, read_shape
    from marionext.backends.svd.state import DenoiseState, read_state, write_state

__all__ = [
    "BundleShape",
    "DenoiseProgress",
    "DenoiseState",
    "Estimate",
    "Models",
    "decode",
    "denoise",
    "estimate",
    "load_models",
    "plan",
    "read_shape",
    "read_state",
    "write_state",
]

_PLACES = {
    "budget": ("Estimate", "estimate", "plan"),
    "decoding": ("decode",),
    "denoising": ("DenoiseProgress", "denoise"),
    "loading": ("Models", "load_models"),
    "shape": ("BundleShape", "read_shape"),
    "state": ("DenoiseState", "read_state", "write_state"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    return load_name(__name__, name, _PLACES, globals())
