"""The library: media, characters and sound, each with a word about how it is."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import (
    QAbstractListModel,
    QByteArray,
    QMimeData,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QPointF,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import (
    QContextMenuEvent,
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPen,
    QPixmap,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from marionext_desktop.model.words import say
from marionext_desktop.ui.actions import Actions
from marionext_desktop.ui.controls import Button, Tabs
from marionext_desktop.ui.icons import icon_picture
from marionext_desktop.ui.painting import BOLD, MEDIUM, box, painting, text
from marionext_desktop.ui.theme import theme

__all__ = ["LIBRARY_MIME", "Entry", "LibraryList", "LibraryPanel"]

LIBRARY_MIME = "application/x-marionext-library"
"""What is dragged out of the library: ``kind:id``."""

Kind = Literal["media", "character", "sound"]
_TITLES: dict[Kind, str] = {"media": "Media", "character": "Characters", "sound": "Sound"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something in the library."""

    id: str
    kind: Kind
    title: str
    words: str = ""
    state: Literal["", "used", "busy", "warn", "missing"] = ""
    picture: QPixmap | None = None
    icon: str = "film"
    """Shown until there is a picture."""
    tip: str = ""
    progress: float = 0.0


Index = QModelIndex | QPersistentModelIndex


class _Model(QAbstractListModel):
    """Entries below the titles of their kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Entry | Kind] = []

    def rowCount(self, parent: Index | None = None) -> int:
        """Return how many lines there are."""
        return 0 if parent is not None and parent.isValid() else len(self.lines)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return what a line says."""
        line = self.lines[index.row()]
        if role == Qt.ItemDataRole.UserRole:
            return line
        entry = isinstance(line, Entry)
        if role == Qt.ItemDataRole.DisplayRole:
            return line.title if isinstance(line, Entry) else say(_TITLES[line])
        if role == Qt.ItemDataRole.ToolTipRole and entry:
            return line.tip or line.title  # type: ignore[union-attr]
        if role == Qt.ItemDataRole.AccessibleTextRole and entry:
            return f"{line.title}, {line.words}"  # type: ignore[union-attr]
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Only entries can be chosen and dragged."""
        if isinstance(self.lines[index.row()], Entry):
            flag = Qt.ItemFlag
            return flag.ItemIsEnabled | flag.ItemIsSelectable | flag.ItemIsDragEnabled
        return Qt.ItemFlag.NoItemFlags

    def mimeTypes(self) -> list[str]:
        """Return the one kind of thing that can be dragged out."""
        return [LIBRARY_MIME]

    def mimeData(self, indexes: Iterable[Index]) -> QMimeData:
        """Return what is dragged."""
        found = [self.lines[index.row()] for index in indexes]
        content = "\n".join(f"{e.kind}:{e.id}" for e in found if isinstance(e, Entry))
        mime = QMimeData()
        mime.setData(LIBRARY_MIME, QByteArray(content.encode()))
        return mime


class _Delegate(QStyledItemDelegate):
    """Paints a line: a picture, a name and a word about it."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Return how tall a line is."""
        line = index.data(Qt.ItemDataRole.UserRole)
        return QSize(120, 56 if isinstance(line, Entry) else 32)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint a line."""
        line = index.data(Qt.ItemDataRole.UserRole)
        area = QRectF(option.rect)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if isinstance(line, Entry):
            state = option.state
            chosen = bool(state & QStyle.StateFlag.State_Selected)
            pointed = bool(state & QStyle.StateFlag.State_MouseOver)
            self._entry(painter, area, line, chosen=chosen, pointed=pointed)
        else:
            words = str(index.data())
            text(painter, 14, area.bottom() - 8, words, "faint", 11, BOLD)
            painter.drawPixmap(
                QPointF(area.right() - 27, area.bottom() - 20), icon_picture("plus", "faint", 14)
            )
        painter.restore()

    def _entry(
        self, painter: QPainter, area: QRectF, entry: Entry, *, chosen: bool, pointed: bool
    ) -> None:
        card = area.adjusted(8, 1, -8, -1)
        if chosen:
            box(
                painter,
                card.adjusted(0.5, 0.5, -0.5, -0.5),
                6,
                theme().colour("accent", 34),
                theme().colour("accent", 110),
            )
        elif pointed:
            box(painter, card, 6, theme().colour("hover", 120))
        frame = QRectF(card.x() + 6, card.y() + 6, 42, 42)
        shape = QPainterPath()
        shape.addRoundedRect(frame, 4, 4)
        painter.save()
        painter.setClipPath(shape)
        painter.fillRect(frame, theme().colour("line"))
        if entry.picture is not None and not entry.picture.isNull():
            w, h = entry.picture.width(), entry.picture.height()
            side = min(w, h)
            part = QRectF((w - side) / 2, (h - side) * (0.12 if h > w else 0.5), side, side)
            painter.drawPixmap(frame, entry.picture, part)
        else:
            at = frame.center()
            painter.drawPixmap(
                QPointF(at.x() - 9, at.y() - 9), icon_picture(entry.icon, "faint", 18)
            )
        painter.restore()
        right = card.right() - 28
        left = frame.right() + 10
        text(painter, left, card.y() + 23, entry.title, "strong", 12, MEDIUM, width=right - left)
        tone = {"warn": "warn", "missing": "bad"}.get(entry.state, "faint")
        text(painter, left, card.y() + 41, entry.words, tone, 11, width=card.right() - left - 8)
        sign = {
            "used": ("circle-check", "good"),
            "warn": ("triangle-alert", "warn"),
            "missing": ("link-2", "bad"),
        }.get(entry.state)
        if sign is not None:
            painter.drawPixmap(QPointF(card.right() - 24, card.y() + 11), icon_picture(*sign, 14))
        if entry.state == "busy":
            bar = QRectF(left, card.bottom() - 6, card.right() - left - 10, 3)
            box(painter, bar, 1.5, "line")
            box(painter, QRectF(bar.x(), bar.y(), bar.width() * entry.progress, 3), 1.5, "accent")


class LibraryList(QListView):
    """The list itself; files may be dropped on it."""

    opened = Signal(str, str)
    """Kind and id of an entry that was double-clicked, or for which Return was pressed."""
    chosen = Signal(str, str)
    wanted = Signal(str)
    """The plus beside the title of a kind was pressed."""
    removed = Signal(str, str)
    menu_wanted = Signal(str, str, QPoint)
    dropped = Signal(object)
    """Paths of files that were dropped."""

    def __init__(self) -> None:
        super().__init__()
        self._model = _Model()
        self.setModel(self._model)
        self.setItemDelegate(_Delegate(self))
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setDragEnabled(True)
        self.setAcceptDrops(True)
        self.setMouseTracking(True)
        self.setAccessibleName(say("Library"))
        self.setMinimumWidth(180)
        self.activated.connect(self._open)
        self.selectionModel().currentChanged.connect(self._choose)
        theme().changed.connect(self.viewport().update)

    def show_entries(self, entries: Iterable[Entry]) -> None:
        """Show other entries; what was chosen stays so."""
        before = self._entry(self.currentIndex())
        lines: list[Entry | Kind] = []
        found = list(entries)
        for kind in _TITLES:
            lines.append(kind)
            lines += [entry for entry in found if entry.kind == kind]
        if lines == self._model.lines:
            return
        same = [(line.kind, line.id) if isinstance(line, Entry) else line for line in lines] == [
            (line.kind, line.id) if isinstance(line, Entry) else line for line in self._model.lines
        ]
        if same:
            self._model.lines = lines
            self._model.dataChanged.emit(self._model.index(0), self._model.index(len(lines) - 1))
            return
        self._model.beginResetModel()
        self._model.lines = lines
        self._model.endResetModel()
        if before is not None:
            self.choose(before.kind, before.id)

    def choose(self, kind: str, name: str) -> None:
        """Choose an entry."""
        for place, line in enumerate(self._model.lines):
            if isinstance(line, Entry) and (line.kind, line.id) == (kind, name):
                self.setCurrentIndex(self._model.index(place))

    def filter(self, words: str) -> None:
        """Hide what does not have words in its name."""
        for place, line in enumerate(self._model.lines):
            hidden = isinstance(line, Entry) and words.lower() not in line.title.lower()
            self.setRowHidden(place, hidden)

    def _entry(self, index: Index) -> Entry | None:
        line = self._model.lines[index.row()] if 0 <= index.row() < len(self._model.lines) else None
        return line if isinstance(line, Entry) else None

    def _open(self, index: Index) -> None:
        entry = self._entry(index)
        if entry is not None:
            self.opened.emit(entry.kind, entry.id)

    def _choose(self, index: Index, _before: Index) -> None:
        entry = self._entry(index)
        if entry is not None:
            self.chosen.emit(entry.kind, entry.id)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """The plus beside a title adds something of its kind."""
        index = self.indexAt(event.position().toPoint())
        line = self._model.lines[index.row()] if index.isValid() else None
        if line is not None and not isinstance(line, Entry):
            if event.position().x() > self.viewport().width() - 40:
                self.wanted.emit(line)
            return
        super().mousePressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Ask for a menu of an entry."""
        entry = self._entry(self.indexAt(event.pos()))
        if entry is not None:
            self.menu_wanted.emit(entry.kind, entry.id, event.globalPos())

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Take files."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Bring files in."""
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.dropped.emit(paths)


class _DropHint(QWidget):
    """A place to drop files on, with the key that brings them in."""

    pressed = Signal()

    def __init__(self, actions: Actions) -> None:
        super().__init__()
        self._action = actions["import"]
        self.setFixedHeight(70)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(say("Import media"))

    def paintEvent(self, _event: object) -> None:
        """Paint a dashed box."""
        with painting(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            area = QRectF(self.rect()).adjusted(14.5, 4.5, -14.5, -12.5)
            painter.setPen(QPen(theme().colour("edge"), 1.2, Qt.PenStyle.DashLine))
            painter.drawRoundedRect(area, 6, 6)
            keys = self._action.shortcut().toString(
                self._action.shortcut().SequenceFormat.NativeText
            )
            middle = area.center().x()
            text(
                painter,
                middle,
                area.y() + 23,
                say("Drop videos, motions, pictures"),
                "faint",
                11,
                align="centre",
                width=area.width() - 8,
            )
            text(
                painter,
                middle,
                area.y() + 40,
                say("or press {keys}", keys=keys),
                "faint",
                11,
                align="centre",
            )

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Bring files in."""
        self._action.trigger()


class LibraryPanel(Tabs):
    """The library and the models."""

    def __init__(self, actions: Actions, models: QWidget) -> None:
        self.list = LibraryList()
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.list, 1)
        column.addWidget(_DropHint(actions))
        add = Button("plus", action=actions["import"])
        super().__init__(
            [("library", say("Library"), page), ("models", say("Models"), models)], add
        )
        self.setMinimumWidth(200)
