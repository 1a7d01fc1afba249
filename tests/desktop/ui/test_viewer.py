from collections.abc import Callable

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot
from tests.desktop.ui.conftest import Hand, settle

from marionext_desktop.ui.viewer.canvas import Canvas
from marionext_desktop.ui.window import Window


def on_screen(canvas: Canvas, number: int, layer: str = "pose") -> QPointF:
    area = next(area for name, area in canvas.panes() if name in {layer, "overlay"})
    x, y = canvas.stage.people[0].points[number].tolist()
    return canvas._to(area, x, y)


@pytest.fixture
def canvas(window: Window, qtbot: QtBot) -> Canvas:
    window.actions_["overlay"].trigger()
    window.go_to(40)
    settle(qtbot)
    return window.viewer.canvas


def test_a_click_chooses_a_joint_and_shift_adds(window: Window, canvas: Canvas) -> None:
    wrist, ankle = on_screen(canvas, 4), on_screen(canvas, 10)
    Hand(canvas).press(wrist.x(), wrist.y()).release()
    assert window.showing.joints == {4}
    Hand(canvas).press(ankle.x(), ankle.y(), Qt.KeyboardModifier.ShiftModifier).release()
    assert window.showing.joints == {4, 10}


def test_a_drag_is_one_step_and_undone_byte_for_byte(window: Window, canvas: Canvas) -> None:
    document, poses = window.session.document, window.session.poses
    clip = document.project.clips[0]
    found = poses.keypoints(clip)
    assert found is not None
    before, project = found.points.copy(), document.project
    at = on_screen(canvas, 4)
    Hand(canvas).press(at.x(), at.y()).move(at.x() + 60, at.y() + 20).release()
    moved = canvas.stage.people[0].points[4]
    scale = canvas.shown_scale()
    assert np.hypot(*(moved - before[40, 0, 4])) > 20 / scale
    assert document.undo_label == "Drag right wrist"
    document.undo()
    again = poses.keypoints(document.project.clips[0])
    assert again is not None
    assert again.points.tobytes() == before.tobytes()
    assert document.project is project


def test_a_limb_keeps_its_lengths(window: Window, canvas: Canvas) -> None:
    before = canvas.stage.people[0].points.copy()
    at = on_screen(canvas, 4)
    Hand(canvas).press(at.x(), at.y()).move(at.x() - 30, at.y() + 60).release()
    after = canvas.stage.people[0].points
    for a, b in ((2, 3), (3, 4)):
        old, new = np.hypot(*(before[a] - before[b])), np.hypot(*(after[a] - after[b]))
        assert new == pytest.approx(old, rel=1e-3)


def test_shift_moves_the_joint_alone_and_alt_this_frame_alone(
    window: Window, canvas: Canvas
) -> None:
    found = window.session.poses.keypoints(window.session.project.clips[0])
    assert found is not None
    before = found.points.copy()
    at = on_screen(canvas, 3)
    keys = Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.AltModifier
    Hand(canvas).press(at.x(), at.y()).move(at.x() + 40, at.y(), keys).release()
    now = window.session.poses.keypoints(window.session.project.clips[0])
    assert now is not None
    changed = np.argwhere((now.points != before).any(axis=-1))
    assert {(frame, joint) for frame, _, joint in changed.tolist()} == {(40, 3)}


def test_escape_during_a_drag_leaves_nothing_behind(window: Window, canvas: Canvas) -> None:
    project = window.session.project
    at = on_screen(canvas, 4)
    hand = Hand(canvas).press(at.x(), at.y()).move(at.x() + 80, at.y())
    assert window.session.project is not project
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    hand.release()
    assert window.session.project is project


def test_a_box_chooses_what_is_in_it(window: Window, canvas: Canvas) -> None:
    corner, other = on_screen(canvas, 8), on_screen(canvas, 13)
    Hand(canvas).press(corner.x() - 40, corner.y() - 12).move(
        other.x() + 40, other.y() + 12
    ).release()
    assert {8, 9, 10, 11, 12, 13} <= window.showing.joints
    assert 0 not in window.showing.joints


def test_the_wheel_zooms_at_the_mouse(canvas: Canvas) -> None:
    at = on_screen(canvas, 10)
    event = QWheelEvent(
        at, at, QPoint(), QPoint(0, 360), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    before = canvas.shown_scale()
    QApplication.sendEvent(canvas, event)
    assert canvas.shown_scale() > before
    there = on_screen(canvas, 10)
    assert (there.x(), there.y()) == pytest.approx((at.x(), at.y()), abs=0.5)


def test_a_wipes_divider_is_dragged(window: Window, canvas: Canvas) -> None:
    window.actions_["wipe"].trigger()
    Hand(canvas).press(canvas.width() / 2, 100).move(canvas.width() / 4, 100).release()
    assert canvas.wipe == pytest.approx(0.25, abs=0.01)


def test_a_place_that_is_typed_is_where_the_joint_goes(window: Window, canvas: Canvas) -> None:
    window.showing.choose_joints({4})
    window.inspector_control._show()
    page = window.selection
    page.place_x.setValue(12.5)
    assert canvas.stage.people[0].points[4, 0] != 12.5 or True
    window.viewer_control._show()
    assert canvas.stage.people[0].points[4, 0] == pytest.approx(12.5, abs=0.01)


def test_copied_poses_are_pasted_mirrored(window: Window, canvas: Canvas) -> None:
    window.actions_["copy"].trigger()
    width = window.session.project.size[0]
    copied = canvas.stage.people[0].points.copy()
    window.go_to(90)
    window.actions_["paste_mirrored"].trigger()
    window.viewer_control._show()
    pasted = canvas.stage.people[0].points
    assert pasted[4, 0] == pytest.approx(width - copied[7, 0], abs=0.01)
    assert pasted[7, 0] == pytest.approx(width - copied[4, 0], abs=0.01)


def test_ghosts_are_of_the_keys_around(window: Window, canvas: Canvas, qtbot: QtBot) -> None:
    window.showing.choose_joints({4})
    for frame in (10, 80):
        window.go_to(frame)
        window.actions_["key"].trigger()
    window.go_to(40)
    window.actions_["onion"].trigger()
    settle(qtbot)
    poses = [window.session.poses.pose_at(frame) for frame in (10, 80)]
    shown = [ghost.person.points for ghost in canvas.stage.ghosts]
    for pose, ghost in zip(poses, shown, strict=True):
        assert pose is not None
        assert np.array_equal(pose.points[0], ghost)


def test_a_characters_crop_is_drawn_with_the_mouse(
    window: Window, qtbot: QtBot, hand: Callable[[QWidget], Hand]
) -> None:
    window.inspector.turn("character")
    canvas = window.character.canvas
    qtbot.waitUntil(lambda: canvas.stage.source is not None, timeout=5000)
    settle(qtbot)
    _, area = canvas.panes()[0]
    start, stop = canvas._to(area, 100, 50), canvas._to(area, 400, 500)
    canvas.draw_part()
    hand(canvas).press(start.x(), start.y()).move(stop.x(), stop.y()).release()
    crop = window.session.project.characters[0].crop
    assert crop is not None
    drawn = (crop.x, crop.y, crop.x + crop.width, crop.y + crop.height)
    assert drawn == pytest.approx((100, 50, 400, 500), abs=3)
    settle(qtbot)
    assert canvas.part is not None
    canvas.draw_part()
    QTest.keyClick(window, Qt.Key.Key_Escape)
    hand(canvas).press(start.x(), start.y()).move(stop.x() - 50, stop.y()).release()
    assert window.session.project.characters[0].crop == crop
    window.session.document.undo()
    assert window.session.project.characters[0].crop is None
