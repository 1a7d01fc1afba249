"""The bar at the top: menus, workspaces, the project, the engine, the one button for rendering."""

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPixmap, QPolygonF
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QMenuBar

from marionext_desktop.model.words import say
from marionext_desktop.ui.actions import Actions
from marionext_desktop.ui.controls import Button, Segments, label, retone, separator
from marionext_desktop.ui.showing import Showing
from marionext_desktop.ui.theme import theme

__all__ = ["TopBar", "logo"]


def logo(size: int = 22) -> QPixmap:
    """Return the sign of Marionext: an M of two limbs, blue left and orange right."""
    density = 3
    picture = QPixmap(size * density, size * density)
    picture.setDevicePixelRatio(density)
    picture.fill(Qt.GlobalColor.transparent)
    p = QPainter(picture)
    p.setRenderHint(QPainter.RenderHint.Antialiasing)
    at = [
        QPointF(x * size / 22, y * size / 22)
        for x, y in ((3, 18), (7, 6), (11, 13), (15, 6), (19, 18))
    ]
    cap, join = Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin
    for points, colour in ((at[:3], "#56b4e9"), (at[2:], "#e69f00")):
        p.setPen(QPen(QColor(colour), size / 11, Qt.PenStyle.SolidLine, cap, join))
        p.drawPolyline(QPolygonF(points))
    p.setPen(Qt.PenStyle.NoPen)
    p.setBrush(theme().colour("strong"))
    for point in at:
        p.drawEllipse(point, size / 12, size / 12)
    p.end()
    return picture


class TopBar(QFrame):
    """The bar."""

    def __init__(self, actions: Actions, showing: Showing) -> None:
        super().__init__()
        self.setObjectName("back")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedHeight(42)
        self._sign = QLabel()
        self.menu = QMenuBar()
        self.menu.setNativeMenuBar(False)
        self.menus = actions.fill(self.menu)
        self.spaces = Segments(
            [("edit", say("Edit")), ("clean", say("Clean up")), ("render", say("Render"))],
            tip=say("Workspace"),
        )
        self.spaces.chosen.connect(showing.turn_to)
        self.name = label("", "strong", bold=True)
        self.dot = label("●", "warn", 9)
        self.saved = label("", "faint")
        self.light = label("●", "faint", 9)
        self.engine = label("")
        self.engine_more = label("", "faint")
        self.render_button = Button(
            "clapperboard", " " + say("Render"), kind="primary", action=actions["render"]
        )
        line = QHBoxLayout(self)
        line.setContentsMargins(12, 0, 10, 0)
        line.setSpacing(4)
        line.addWidget(self._sign)
        line.addSpacing(4)
        self.menu.setFixedHeight(30)
        line.addWidget(self.menu, 0, Qt.AlignmentFlag.AlignVCenter)
        line.addStretch(1)
        line.addWidget(self.spaces)
        line.addStretch(1)
        for item in (
            self.name,
            self.dot,
            self.saved,
            8,
            separator(),
            6,
            self.light,
            self.engine,
            self.engine_more,
            8,
            self.render_button,
        ):
            if isinstance(item, int):
                line.addSpacing(item)
            else:
                line.addWidget(item)
        showing.space_changed.connect(self.spaces.choose)
        self.spaces.choose(showing.space)
        theme().changed.connect(self._paint)
        self._paint()

    def show_project(self, name: str, *, dirty: bool, saved: str) -> None:
        """Show which project is open and how safe it is."""
        self.name.setText(name)
        self.dot.setVisible(dirty)
        self.dot.setToolTip(say("There are changes that are not saved"))
        self.saved.setText(saved)

    def show_engine(self, words: str, more: str = "", tone: str = "faint") -> None:
        """Show how the engine is: tone is ``good``, ``warn``, ``bad`` or ``faint``."""
        self.engine.setText(words)
        self.engine_more.setText(more)
        retone(self.light, tone)  # type: ignore[arg-type]

    def _paint(self) -> None:
        self._sign.setPixmap(logo())
