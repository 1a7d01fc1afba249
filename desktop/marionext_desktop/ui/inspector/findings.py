"""What looks wrong, as a list: a key to go there, one to mend, one to ignore."""

from collections.abc import Iterable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from marionext_desktop.model.words import say
from marionext_desktop.ui.actions import Actions
from marionext_desktop.ui.controls import Button, Section, label, row
from marionext_desktop.ui.icons import icon_picture
from marionext_desktop.ui.painting import MEDIUM, box, painting, text
from marionext_desktop.ui.theme import theme

__all__ = ["FindingLine", "FindingsSection"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingLine:
    """Something that looks wrong."""

    key: str
    words: str
    frames: str
    icon: str
    serious: bool = False
    can_mend: bool = True
    tip: str = ""


class _Line(QWidget):
    """One finding."""

    chosen = Signal(str)
    mended = Signal(str)

    def __init__(self, finding: FindingLine) -> None:
        super().__init__()
        self._lit, self._pointed = False, False
        self.setFixedHeight(30)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 2, 0)
        line.addStretch(1)
        self._mend = Button("wand-sparkles", size=15, tip=say("Mend"), pressed=self._mend_it)
        line.addWidget(self._mend)
        self.show_finding(finding)

    def show_finding(self, finding: FindingLine) -> None:
        """Show another finding: making widgets anew would be felt where there are many."""
        self.finding = finding
        self.setToolTip(finding.tip or finding.words)
        self.setAccessibleName(f"{finding.words}, {finding.frames}")
        self._mend.setVisible(finding.can_mend)
        self.update()

    def _mend_it(self) -> None:
        self.mended.emit(self.finding.key)

    def light(self, on: bool) -> None:
        """Show whether it is looked at."""
        self._lit = on
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint the line."""
        with painting(self) as p:
            p.setRenderHint(QPainter.RenderHint.Antialiasing)
            if self._lit or self._pointed or self.hasFocus():
                alpha = 60 if self._lit else 26
                box(
                    p,
                    self.rect().toRectF().adjusted(0.5, 1.5, -0.5, -1.5),
                    4,
                    theme().colour("accent", alpha),
                    theme().colour("accent", 120) if self._lit or self.hasFocus() else None,
                )
            tone = "bad" if self.finding.serious else "warn"
            p.drawPixmap(8, 7, icon_picture(self.finding.icon, tone, 16))
            right = self.width() - (38 if self.finding.can_mend else 12)
            advance = text(
                p, right, 19.5, self.finding.frames, "faint", 11, figures=True, align="right"
            )
            text(
                p,
                34,
                19.5,
                self.finding.words,
                "strong",
                12,
                MEDIUM,
                width=right - advance - 42,
            )

    def enterEvent(self, event: QEvent) -> None:
        """Show that it can be clicked."""
        self._pointed = True
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """Show that it is not pointed at."""
        self._pointed = False
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go there."""
        self.chosen.emit(self.finding.key)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space goes there."""
        if event.key() == Qt.Key.Key_Space:
            self.chosen.emit(self.finding.key)
            return
        super().keyPressEvent(event)


class FindingsSection(Section):
    """The list of findings."""

    chosen = Signal(str)
    mended = Signal(str)

    _MOST = 60

    def __init__(self, actions: Actions) -> None:
        self.count = label("", "faint", 11)
        super().__init__(say("Found in this clip"), extra=self.count)
        holder = QWidget()
        self._column = QVBoxLayout(holder)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._lines: dict[str, _Line] = {}
        self._shown: tuple[FindingLine, ...] | None = None
        self._words = label("", "faint", 11, wrapped=True)
        # Above the list: they are in sight however long it is.
        self.lines.addWidget(
            row(
                Button("wand-sparkles", words=say("Mend"), kind="soft", action=actions["mend"]),
                Button(words=say("Ignore"), kind="soft", action=actions["ignore"]),
                None,
                Button(words=say("Mend all"), kind="deep", action=actions["mend_all"]),
            )
        )
        self.lines.addWidget(holder)
        self.lines.addWidget(self._words)

    def show_findings(self, findings: Iterable[FindingLine], words: str = "") -> None:
        """Show other findings.

        Args:
            findings: in the order of the frames.
            words: said below them, such as that they are being looked for.
        """
        found = tuple(findings)
        self._words.setText(words or ("" if found else say("Nothing looks wrong here.")))
        self._words.setVisible(bool(self._words.text()))
        places = say("{count} places", count=len(found)) if len(found) != 1 else say("1 place")
        self.count.setText(places)
        if found == self._shown:
            return
        self._shown = found
        lines = list(self._lines.values())
        shown = found[: self._MOST]
        for line in lines[len(shown) :]:
            self._column.removeWidget(line)
            line.deleteLater()
        for line, finding in zip(lines, shown, strict=False):
            line.show_finding(finding)
        for finding in shown[len(lines) :]:
            line = _Line(finding)
            line.chosen.connect(self.chosen)
            line.mended.connect(self.mended)
            self._column.addWidget(line)
            lines.append(line)
        self._lines = {line.finding.key: line for line in lines[: len(shown)]}
        if len(found) > self._MOST:
            self._words.setText(say("and {count} more, by the keys", count=len(found) - self._MOST))
            self._words.show()

    def light(self, key: str) -> None:
        """Show which finding is looked at."""
        for name, line in self._lines.items():
            line.light(name == key)
