"""The paper doll as a backend: each frame is drawn of the character's own picture."""

from marionext.backends.doll.backend import DollBackend, DollRenderer

__all__ = ["DollBackend", "DollRenderer"]
