"""Marionext renders a character video from a motion."""

__version__ = "0.1.0"

__all__ = ["__version__"]
