"""The paper doll: characters bent along their own pictures, and a network that mends them."""

from marionext.backends.doll.backend import REFINER, DollBackend, DollRenderer

__all__ = ["REFINER", "DollBackend", "DollRenderer"]
