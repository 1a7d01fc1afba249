"""The renderer of the last job stays loaded: jobs of one model load it once."""

from pathlib import Path
from typing import Any

from marionext.backends.base import Backend, Renderer
from marionext.bundles import ModelBundle
from marionext.jobs import EngineSettings
from marionext.reporting import Reporter
from marionext.settings import Settings

__all__ = ["Renderers"]


class Renderers:
    """Opens renderers, and keeps the last one."""

    def __init__(self) -> None:
        """Load nothing yet."""
        self._report: Reporter | None = None
        self._renderer: Renderer[Any] | None = None
        self._loaded: tuple[Path, str, tuple[tuple[str, str], ...]] | None = None

    def open(
        self,
        backend: Backend[Any],
        bundle: ModelBundle,
        settings: Settings,
        engine: EngineSettings,
        report: Reporter,
    ) -> Renderer[Any]:
        """Return the renderer of a model, that of the job before where it is the same.

        Raises:
            ModelError: the files are not what they should be.
            DeviceError: the device cannot hold it.
        """
        self._report = report
        computed = tuple(sorted(backend.computed(settings, engine).items()))
        wanted = (bundle.folder, backend.architecture, computed)
        report.progress("models", 0, 1)
        if self._renderer is None or self._loaded != wanted:
            self._renderer = self._loaded = None  # before loading: two models may not fit
            self._renderer = backend.open(bundle, settings, engine, self._say)
            self._loaded = wanted
        report.progress("models", 1, 1)
        return self._renderer

    def _say(self, text: str) -> None:
        """Pass on what the renderer has to say to the job at work."""
        if self._report is not None:
            self._report.log(text)
