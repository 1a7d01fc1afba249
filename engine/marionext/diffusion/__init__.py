"""The video model: a character's picture and pose maps in, frames out.

Names are imported when they are first used: `estimate` and its like answer without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from marionext.diffusion.budget import Estimate, estimate, plan
    from marionext.diffusion.bundle_shape import BundleShape, read_shape
    from marionext.diffusion.conditioning import fit_character
    from marionext.diffusion.controlnext import ControlNeXt, ControlNeXtConfig, ControlNeXtSVD
    from marionext.diffusion.decoding import decode
    from marionext.diffusion.injection import injected
    from marionext.diffusion.loading import Models, load_models
    from marionext.diffusion.sampling import DenoiseProgress, denoise
    from marionext.diffusion.state import SamplerState, read_state, write_state
    from marionext.diffusion.windows import Window, plan_reference_windows, plan_windows

__all__ = [
    "BundleShape",
    "ControlNeXt",
    "ControlNeXtConfig",
    "ControlNeXtSVD",
    "DenoiseProgress",
    "Estimate",
    "Models",
    "SamplerState",
    "Window",
    "decode",
    "denoise",
    "estimate",
    "fit_character",
    "injected",
    "load_models",
    "plan",
    "plan_reference_windows",
    "plan_windows",
    "read_shape",
    "read_state",
    "write_state",
]

_PLACES = {
    "bundle_shape": ("BundleShape", "read_shape"),
    "conditioning": ("fit_character",),
    "controlnext": ("ControlNeXt", "ControlNeXtConfig", "ControlNeXtSVD"),
    "decoding": ("decode",),
    "budget": ("Estimate", "estimate", "plan"),
    "injection": ("injected",),
    "loading": ("Models", "load_models"),
    "sampling": ("DenoiseProgress", "denoise"),
    "state": ("SamplerState", "read_state", "write_state"),
    "windows": ("Window", "plan_reference_windows", "plan_windows"),
}
_HOMES = {name: module for module, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
