"""What the window shows and the document does not keep: the frame, the selection, tools, options.

Widgets change it and follow it; none of them knows another. Nothing here can be undone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from PySide6.QtCore import QObject, Signal

__all__ = ["Options", "Showing", "Space"]

Space = Literal["edit", "clean", "render"]
Layout = Literal["single", "overlay", "side", "wipe"]
Layer = Literal["source", "pose", "result"]
Tool = Literal["select", "blade", "slip", "retime"]
Way = Literal["joint", "limb", "hand"]
RowMode = Literal["limbs", "joints", "curves"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How things are shown and handled."""

    layout: Layout = "side"
    layer: Layer = "pose"
    opacity: float = 0.6
    onion: bool = False
    trails: bool = True
    confidence: bool = False
    grid: bool = False
    compare: bool = False
    """Show the pose as it was found, too."""
    live: bool = True
    """Show the character in the pose where nothing is rendered."""
    tool: Tool = "select"
    snap: bool = True
    way: Way = "limb"
    fade: int = 6
    """Frames over which a drag fades on each side."""
    rows: RowMode = "limbs"
    timecode: bool = True
    loop: bool = False
    mute: bool = False


class Showing(QObject):
    """The state of the window."""

    frame_changed = Signal(int)
    joints_changed = Signal()
    clips_changed = Signal()
    keys_changed = Signal()
    person_changed = Signal()
    finding_changed = Signal()
    takes_changed = Signal()
    options_changed = Signal(object, object)
    """`Options` before and after."""
    space_changed = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.frame = 0
        self.joints: frozenset[int] = frozenset()
        """Numbers of the points that are chosen."""
        self.rows: frozenset[str] = frozenset()
        """Names of the limbs that were chosen as such."""
        self.clips: frozenset[str] = frozenset()
        self.keys: frozenset[tuple[str, int]] = frozenset()
        """Row and frame of the timeline."""
        self.person = 0
        """Which of the people that are seen in the frame is worked on."""
        self.finding = ""
        self.take_a = ""
        self.take_b = ""
        """Takes that are compared: B is the result that is shown."""
        self.options = Options()
        self.space: Space = "edit"

    def go_to(self, frame: int) -> None:
        """Show a frame."""
        if frame != self.frame:
            self.frame = frame
            self.frame_changed.emit(frame)

    def choose_joints(
        self, joints: Iterable[int], *, rows: Iterable[str] = (), add: bool = False
    ) -> None:
        """Choose joints; ``add`` adds those that are not chosen and takes away those that are."""
        wanted, named = frozenset(joints), frozenset(rows)
        if add:
            wanted = self.joints - wanted if wanted <= self.joints else self.joints | wanted
            named = self.rows ^ named
        if wanted != self.joints or named != self.rows:
            self.joints, self.rows = wanted, named
            self.joints_changed.emit()

    def choose_clips(self, clips: Iterable[str]) -> None:
        """Choose clips of the timeline."""
        wanted = frozenset(clips)
        if wanted != self.clips:
            self.clips = wanted
            self.clips_changed.emit()

    def choose_keys(self, keys: Iterable[tuple[str, int]]) -> None:
        """Choose keys of the timeline."""
        wanted = frozenset(keys)
        if wanted != self.keys:
            self.keys = wanted
            self.keys_changed.emit()

    def choose_person(self, person: int) -> None:
        """Work on another person."""
        if person != self.person:
            self.person = person
            self.person_changed.emit()

    def choose_finding(self, key: str) -> None:
        """Look at a finding."""
        if key != self.finding:
            self.finding = key
            self.finding_changed.emit()

    def compare_takes(self, *, a: str | None = None, b: str | None = None) -> None:
        """Choose which takes are shown; None: as it is."""
        wanted = (self.take_a if a is None else a, self.take_b if b is None else b)
        if wanted != (self.take_a, self.take_b):
            self.take_a, self.take_b = wanted
            self.takes_changed.emit()

    def change(self, **options: object) -> None:
        """Change options; see `Options`."""
        before = self.options
        after = replace(before, **options)  # type: ignore[arg-type]
        if after != before:
            self.options = after
            self.options_changed.emit(before, after)

    def turn_to(self, space: Space) -> None:
        """Show another workspace."""
        if space != self.space:
            self.space = space
            self.space_changed.emit(space)
