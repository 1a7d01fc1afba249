"""The ways to make frames, one folder for each architecture of models."""

from marionext.backends.base import Backend, Figures, Renderer, Rung, Work
from marionext.backends.renderers import Renderers
from marionext.backends.table import BACKENDS, backend_of

__all__ = [
    "BACKENDS",
    "Backend",
    "Figures",
    "Renderer",
    "Renderers",
    "Rung",
    "Work",
    "backend_of",
]
