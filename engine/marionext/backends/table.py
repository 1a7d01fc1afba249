"""Which backend renders models of which architecture."""

from marionext.backends.base import Backend
from marionext.backends.svd.backend import SvdBackend
from marionext.bundles import ModelBundle
from marionext.errors import ModelError

__all__ = ["BACKENDS", "backend_of"]

BACKENDS: dict[str, Backend] = {backend.architecture: backend for backend in (SvdBackend(),)}
"""Every backend by its architecture."""


def backend_of(bundle: ModelBundle) -> Backend:
    """Return the backend that renders with a model.

    Raises:
        ModelError: there is none for its architecture.
    """
    architecture = bundle.card.architecture
    if architecture not in BACKENDS:
        raise ModelError(
            f"model {bundle.name!r} is of the architecture {architecture!r}, expected one of "
            f"{', '.join(BACKENDS)}",
            hint="Update Marionext.",
        )
    return BACKENDS[architecture]
