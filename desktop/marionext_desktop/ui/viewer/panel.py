"""The viewer's panel: how the frame is shown above it, the transport below it."""

from PySide6.QtCore import QEvent, QObject, QPoint, Signal
from PySide6.QtWidgets import QFrame, QGraphicsDropShadowEffect, QHBoxLayout, QMenu, QVBoxLayout

from marionext_desktop.model.words import say
from marionext_desktop.ui.actions import Actions
from marionext_desktop.ui.controls import (
    Amount,
    Button,
    Choice,
    Panel,
    Segments,
    label,
    separator,
)
from marionext_desktop.ui.icons import icon_picture
from marionext_desktop.ui.showing import Options, Showing
from marionext_desktop.ui.theme import theme
from marionext_desktop.ui.transport import Transport
from marionext_desktop.ui.viewer.canvas import Canvas

__all__ = ["Toast", "ViewerPanel"]


class Toast(QFrame):
    """A message over the viewer with what can be done about it."""

    accepted = Signal()
    dismissed = Signal()

    def __init__(self, parent: Canvas) -> None:
        """Lie over a canvas, at its bottom."""
        super().__init__(parent)
        self.setObjectName("toast")
        self._sign = label()
        self._title = label("", "strong", bold=True)
        self._more = label("", "faint", 11)
        words = QVBoxLayout()
        words.setSpacing(1)
        words.addWidget(self._title)
        words.addWidget(self._more)
        self._yes = Button(words=say("Mend"), kind="primary", pressed=self.accepted.emit)
        self._no = Button(words=say("Ignore"), pressed=self.dismissed.emit)
        box = QHBoxLayout(self)
        box.setContentsMargins(14, 7, 8, 7)
        box.setSpacing(12)
        box.addWidget(self._sign)
        box.addLayout(words)
        box.addSpacing(8)
        box.addWidget(self._yes)
        box.addWidget(self._no)
        shadow = QGraphicsDropShadowEffect(self)
        shadow.setBlurRadius(24)
        shadow.setOffset(0, 4)
        self.setGraphicsEffect(shadow)
        self.hide()
        parent.installEventFilter(self)

    def tell(
        self, picture: str, title: str, more: str, yes: str, no: str, *, serious: bool = False
    ) -> None:
        """Show a message; an empty ``yes`` has nothing to be done."""
        tone = "bad" if serious else "warn"
        self._sign.setPixmap(icon_picture(picture, tone, 16))
        self._title.setText(title)
        self._more.setText(more)
        self._more.setVisible(bool(more))
        self._yes.setText(yes)
        self._yes.setVisible(bool(yes))
        self._no.setText(no)
        edge = theme().colour(tone, 170)
        back = theme().colour("panel")
        self.setStyleSheet(
            f"QFrame#toast {{ background: rgba({back.red()},{back.green()},{back.blue()},240);"
            f" border: 1px solid rgba({edge.red()},{edge.green()},{edge.blue()},170);"
            " border-radius: 8px; }"
        )
        self.show()
        self.raise_()
        self._place()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay at the bottom of the canvas."""
        if event.type() is QEvent.Type.Resize and self.isVisible():
            self._place()
        return super().eventFilter(watched, event)

    def _place(self) -> None:
        canvas = self.parentWidget()
        box = self.layout()
        if canvas is None or box is None:
            return
        box.activate()
        self.resize(box.sizeHint())
        self.move((canvas.width() - self.width()) // 2, canvas.height() - self.height() - 14)


class ViewerPanel(Panel):
    """The viewer with its bars."""

    person_chosen = Signal(int)

    def __init__(self, actions: Actions, showing: Showing) -> None:
        super().__init__()
        self._showing = showing
        self.canvas = Canvas()
        self.toast = Toast(self.canvas)
        self.layouts = Segments(
            [
                ("single", say("Single")),
                ("overlay", say("Overlay")),
                ("side", say("Side by side")),
                ("wipe", say("Wipe")),
            ],
            tip=say("How the frame is shown"),
        )
        self.layer = Choice(
            [("source", say("Source")), ("pose", say("Pose")), ("result", say("Result"))],
            tip=say("What is shown alone"),
        )
        self.layer.setFixedWidth(104)
        self.opacity = Amount(0, 100, 60, suffix=" %", tip=say("Opacity of the source"))
        self.opacity.setFixedWidth(190)
        self.person = Button("users", tip=say("Whom to work on"), words=say("Person {n}", n=1))
        self.person.clicked.connect(self._offer_people)
        self._people: tuple[str, ...] = ()
        self.zoom = Button("scan", "", tip=say("Fit the viewer"), action=None)
        self.zoom.setToolButtonStyle(self.person.toolButtonStyle())
        self.zoom.clicked.connect(self.canvas.fit)
        self.head(
            self.layouts, 4, self.layer, self.opacity, None, self.person, separator(),
            Button("layers", action=actions["onion"]),
            Button("spline", action=actions["trails"]),
            Button("gauge", action=actions["confidence"]),
            Button("grid-3x3", action=actions["grid"]),
            Button("git-compare-arrows", action=actions["compare"]),
            Button("person-standing", action=actions["live"]),
            separator(), self.zoom,
        )  # fmt: skip
        self.add(self.canvas, 1)
        self.transport = Transport(actions)
        self.foot(self.transport)
        self.layouts.chosen.connect(lambda key: showing.change(layout=key))
        self.layer.chosen.connect(lambda key: showing.change(layer=key))
        self.opacity.entered.connect(lambda value: showing.change(opacity=value / 100))
        showing.options_changed.connect(lambda _old, new: self._show_options(new))
        self.canvas.view_changed.connect(self._show_zoom)
        self._show_options(showing.options)

    def show_people(self, names: tuple[str, ...], chosen: int) -> None:
        """Show who is in the frame."""
        self._people = names
        self.person.setEnabled(bool(names))
        words = names[chosen] if chosen < len(names) else say("Nobody")
        self.person.setText(words)

    def _offer_people(self) -> None:
        menu = QMenu(self)
        for number, name in enumerate(self._people):
            action = menu.addAction(name)
            action.triggered.connect(lambda _on=False, n=number: self.person_chosen.emit(n))
        menu.exec(self.person.mapToGlobal(QPoint(0, self.person.height() + 2)))

    def _show_options(self, options: Options) -> None:
        canvas = self.canvas
        self.layouts.choose(options.layout)
        self.layer.choose(options.layer)
        self.layer.setVisible(options.layout == "single")
        self.opacity.setVisible(options.layout == "overlay")
        self.opacity.show_value(options.opacity * 100)
        if canvas.layout_shown != options.layout:
            canvas.show_layout(options.layout)
        if canvas.layer != options.layer:
            canvas.show_layer(options.layer)
        if canvas.opacity != options.opacity:
            canvas.show_opacity(options.opacity)
        canvas.show_options(grid=options.grid, confidence=options.confidence)

    def _show_zoom(self) -> None:
        share = f"{round(self.canvas.shown_scale() * 100)} %"
        self.zoom.setText(share if self.canvas.scale else say("Fit") + " " + share)
