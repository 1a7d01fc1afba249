"""Which backend renders models of which architecture."""

from typing import Any

from marionext.backends.base import Backend
from marionext.backends.doll import DollBackend
from marionext.backends.svd.backend import SvdBackend
from marionext.bundles import ModelBundle
from marionext.errors import ModelError, SettingsError
from marionext.settings import Settings

__all__ = ["BACKENDS", "backend_of"]

BACKENDS: dict[str, Backend[Any]] = {
    backend.architecture: backend for backend in (SvdBackend(), DollBackend())
}
"""Every backend by its architecture."""


def backend_of(bundle: ModelBundle, settings: Settings) -> Backend[Any]:
    """Return the backend that renders with a model.

    Raises:
        ModelError: there is none for its architecture.
        SettingsError: the settings are those of another architecture.
    """
    architecture = bundle.card.architecture
    if architecture not in BACKENDS:
        raise ModelError(
            f"model {bundle.name!r} is of the architecture {architecture!r}, expected one of "
            f"{', '.join(BACKENDS)}",
            hint="Update Marionext.",
        )
    backend = BACKENDS[architecture]
    if not isinstance(settings, backend.settings):
        raise SettingsError(
            f"settings: expected those of the kind {architecture!r}, as the model "
            f"{bundle.name!r} takes them, got {settings.kind!r}"
        )
    return backend
