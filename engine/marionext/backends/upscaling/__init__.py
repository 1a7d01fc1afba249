"""Pictures in more pixels: interpolation, small networks, and Stable Diffusion 3 with a control."""

from marionext.backends.upscaling.base import OnPart, Upscaler
from marionext.backends.upscaling.table import Method, open_upscaler, recognise
from marionext.backends.upscaling.transparency import enlarge

__all__ = ["Method", "OnPart", "Upscaler", "enlarge", "open_upscaler", "recognise"]
