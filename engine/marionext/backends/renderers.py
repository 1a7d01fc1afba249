"""The renderer of the last job stays loaded: jobs of one model load it once."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from marionext.backends.base import Backend, Renderer
from marionext.bundles import ModelBundle
from marionext.jobs import EngineSettings
from marionext.reporting import Reporter
from marionext.settings import Settings

__all__ = ["Renderers"]

_Loaded = TypeVar("_Loaded")


class Renderers:
    """Opens renderers, and whatever else is slow to load, and keeps the last one."""

    def __init__(self) -> None:
        """Load nothing yet."""
        self._report: Reporter | None = None
        self._kept: Any = None
        self._key: tuple[Hashable, ...] | None = None

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
        computed = tuple(sorted(backend.computed(settings, engine).items()))
        key = (bundle.folder, backend.architecture, computed)

        def load(say: Callable[[str], None]) -> Renderer[Any]:
            opened: Renderer[Any] = backend.open(bundle, settings, engine, say)
            return opened

        return self.kept(key, load, report)

    def kept(
        self,
        key: tuple[Hashable, ...],
        load: Callable[[Callable[[str], None]], _Loaded],
        report: Reporter,
    ) -> _Loaded:
        """Return what was loaded last, or load it where that was something else.

        Args:
            key: equal for equal things.
            load: given what takes a word to the user later on, such as memory running short.
            report: told of the loading.
        """
        self._report = report
        report.progress("models", 0, 1)
        if self._kept is None or self._key != key:
            self._kept = self._key = None  # before loading: two models may not fit
            self._kept = load(self._say)
            self._key = key
        report.progress("models", 1, 1)
        loaded: _Loaded = self._kept
        return loaded

    def _say(self, text: str) -> None:
        """Pass on what the renderer has to say to the job at work."""
        if self._report is not None:
            self._report.log(text)
