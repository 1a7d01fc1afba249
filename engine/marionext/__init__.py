"""Marionext renders a character video from a motion."""

__version__ = "0.2.0"

__all__ = ["__version__"]
