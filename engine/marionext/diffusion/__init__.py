"""What diffusion models share: ControlNeXt, windows over time, noise levels, weights, short memory.

Names are imported when they are first used: windows are planned without torch.
"""

from typing import TYPE_CHECKING, Any

from marionext.lazy import load_name

if TYPE_CHECKING:
    from marionext.diffusion.controlnext import ControlNeXt, ControlNeXtConfig, ControlNeXtSVD
    from marionext.diffusion.cropping import fit_character
    from marionext.diffusion.injection import injected
    from marionext.diffusion.windows import Window, plan_reference_windows, plan_windows

__all__ = [
    "ControlNeXt",
    "ControlNeXtConfig",
    "ControlNeXtSVD",
    "Window",
    "fit_character",
    "injected",
    "plan_reference_windows",
    "plan_windows",
]

_PLACES = {
    "controlnext": ("ControlNeXt", "ControlNeXtConfig", "ControlNeXtSVD"),
    "cropping": ("fit_character",),
    "injection": ("injected",),
    "windows": ("Window", "plan_reference_windows", "plan_windows"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    return load_name(__name__, name, _PLACES, globals())
