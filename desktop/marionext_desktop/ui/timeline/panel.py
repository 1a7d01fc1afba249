"""The timeline's panel: its tools above the sheet."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSlider

from marionext_desktop.model.words import say
from marionext_desktop.ui.actions import Actions
from marionext_desktop.ui.controls import Button, Panel, Segments, label, separator
from marionext_desktop.ui.showing import Options, Showing
from marionext_desktop.ui.timeline.sheet import Sheet

__all__ = ["TimelinePanel"]

_STEPS = 1000


class TimelinePanel(Panel):
    """The sheet with its tools."""

    def __init__(self, actions: Actions, showing: Showing) -> None:
        super().__init__()
        self.sheet = Sheet()
        self.rows = Segments(
            [("limbs", say("Limbs")), ("joints", say("Joints")), ("curves", say("Curves"))],
            tip=say("What the rows show"),
        )
        self.zoom = QSlider(Qt.Orientation.Horizontal)
        self.zoom.setRange(0, _STEPS)
        self.zoom.setFixedWidth(110)
        self.zoom.setAccessibleName(say("Zoom of the timeline"))
        self.zoom.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.head(
            Button("mouse-pointer-2", action=actions["tool_select"]),
            Button("scissors", action=actions["tool_blade"]),
            Button("move-horizontal", action=actions["tool_slip"]),
            Button("timer", action=actions["tool_retime"]),
            separator(),
            Button("diamond-plus", action=actions["key"]),
            Button("pause", action=actions["hold"]),
            Button("circle-dashed", action=actions["hide"]),
            Button("arrow-left-right", action=actions["swap"]),
            Button("flip-horizontal-2", action=actions["mirror"]),
            Button("wand-sparkles", action=actions["fill"]),
            separator(),
            Button("magnet", action=actions["snap"]),
            Button("flag", action=actions["marker"]),
            None,
            label(say("Rows"), "faint"), 2, self.rows, 2, separator(),
            Button("zoom-out", action=actions["zoom_out"]),
            self.zoom,
            Button("zoom-in", action=actions["zoom_in"]),
            Button("maximize-2", action=actions["zoom_fit"]),
            height=38,
        )  # fmt: skip
        self.add(self.sheet, 1)
        self.rows.chosen.connect(lambda key: showing.change(rows=key))
        self.zoom.valueChanged.connect(lambda place: self.sheet.show_zoom(place / _STEPS))
        self.sheet.span_changed.connect(self._show_zoom)
        showing.options_changed.connect(lambda _old, new: self._show_options(new))
        self._show_options(showing.options)

    def _show_zoom(self) -> None:
        self.zoom.blockSignals(True)
        self.zoom.setValue(round(self.sheet.zoom_level() * _STEPS))
        self.zoom.blockSignals(False)

    def _show_options(self, options: Options) -> None:
        sheet = self.sheet
        self.rows.choose(options.rows)
        sheet.tool, sheet.snapping = options.tool, options.snap
        sheet.show_timecode(options.timecode)
        if sheet.curves != (options.rows == "curves"):
            sheet.show_curves(options.rows == "curves")
        sheet.setCursor(
            Qt.CursorShape.SplitHCursor if options.tool == "blade" else Qt.CursorShape.ArrowCursor
        )
