"""What keeps the page of the models and the models together."""

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QMessageBox

from marionext.errors import EngineError
from marionext_desktop.model.models import KnownModel, Models
from marionext_desktop.model.words import say
from marionext_desktop.ui.models_page import ModelCard, ModelsPage
from marionext_desktop.ui.session import Session

__all__ = ["ModelsControl"]


class ModelsControl(QObject):
    """Shows the models, fetches and checks them."""

    wanted = Signal()
    """A job has failed for want of a model that can be fetched on the page."""

    def __init__(self, page: ModelsPage, models: Models, session: Session) -> None:
        super().__init__(page)
        self._page, self._models, self._session = page, models, session
        self._before: dict[str, str] = {}
        models.changed.connect(self._show)
        models.failed.connect(self._failed)
        page.asked.connect(self._asked)
        page.looked_at.connect(models.refresh)
        session.captures.changed.connect(self._captured)
        self._show()

    def _show(self) -> None:
        # Without a detector no video can be read: one that is not there comes first.
        models = sorted(
            self._models.models, key=lambda model: model.kind != "detector" or model.usable
        )
        self._page.show_models([_card(model) for model in models])
        for model in self._models.models:
            if model.stage == "ready" and self._before.get(model.name) == "fetching":
                self._session.told.emit("good", say("{name} is there", name=model.title))
                if model.kind == "detector":
                    self._session.captures.start_all()
            self._before[model.name] = model.stage

    def _captured(self, name: str) -> None:
        source = self._session.project.by_id.get(name)
        if source is not None and self._session.captures.state(source).lacks_detector:
            self.wanted.emit()

    def _failed(self, name: str, error: EngineError) -> None:
        hint = f"\n{error.hint}" if error.hint else ""
        self._session.told.emit("bad", f"{name}: {error.message}{hint}")

    def _asked(self, what: str, name: str) -> None:
        model = self._models.model(name)
        if model is None:
            return
        match what:
            case "fetch":
                if self._agreed(model):
                    self._models.fetch(name)
            case "stop":
                self._models.stop(name)
            case "check":
                self._models.check(name)
            case "folder":
                QDesktopServices.openUrl(QUrl.fromLocalFile(model.folder))

    def _agreed(self, model: KnownModel) -> bool:
        """Tell the licence before anything is fetched."""
        box = QMessageBox(self._page.window())
        box.setIcon(QMessageBox.Icon.NoIcon)
        box.setWindowTitle("Marionext")
        box.setText(say("Fetch {name}?", name=model.title))
        lines = [say("Licence: {licence}", licence=model.licence)]
        if model.download_bytes:
            lines.append(say("Size: {mb} MB", mb=round(model.download_bytes / 1e6)))
        if model.gated:
            lines.append(
                say("Its licence has to be accepted online first: {page}", page=model.gated)
            )
        box.setInformativeText("\n".join(lines))
        yes = box.addButton(say("Fetch"), QMessageBox.ButtonRole.AcceptRole)
        box.addButton(say("Cancel"), QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(yes)
        box.exec()
        return box.clickedButton() is yes


def _card(model: KnownModel) -> ModelCard:
    stages = {"incomplete": "damaged", "checking": "ready"}
    size = "" if not model.download_bytes else f"{model.download_bytes / 1e6:.0f} MB"
    if model.stage == "fetching" and model.bytes_per_second:
        size = f"{size} · {model.bytes_per_second / 1e6:.1f} MB/s"
    return ModelCard(
        id=model.name,
        title=model.title,
        words=model.description,
        state=stages.get(model.stage, model.stage),  # type: ignore[arg-type]
        licence=model.licence,
        size=size,
        progress=model.fraction,
        message=model.message,
        built_in=model.built_in,
    )
