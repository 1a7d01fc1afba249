from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from tests.desktop.ui.conftest import FRAMES, Hand, settle

from marionext.frames import FrameRate
from marionext.skeleton import LIMB_GROUPS
from marionext_desktop.model import posing
from marionext_desktop.ui.timeline.bands import LEFT, RULER, Span
from marionext_desktop.ui.timeline.contents import Badge, ClipBar, Contents, RowKeys
from marionext_desktop.ui.timeline.heat import HeatStrips
from marionext_desktop.ui.timeline.painter import ruler_step
from marionext_desktop.ui.timeline.rows import LIMBS, pose_rows, row_scores
from marionext_desktop.ui.timeline.sheet import Sheet
from marionext_desktop.ui.window import Window


def band_y(sheet: Sheet, kind: str, row: int = -1) -> float:
    band = next(b for b in sheet.state.bands if b.kind == kind and (row < 0 or b.row == row))
    return RULER + band.top - sheet.state.scroll + band.height / 2


def row_of(sheet: Sheet, name: str) -> int:
    return next(place for place, row in enumerate(sheet.state.rows) if row.name == name)


def test_every_point_of_a_limb_is_shown_by_its_parts() -> None:
    for limb, parts in LIMBS.items():
        shown = {p for row in pose_rows({limb}) if row.parent == limb for p in row.points}
        own = (
            LIMB_GROUPS["left_foot"] + LIMB_GROUPS["right_foot"]
            if limb == "feet"
            else LIMB_GROUPS[limb]
        )
        assert shown == set(own), parts


def test_a_bodys_limb_is_as_good_as_its_worst_joint() -> None:
    scores = np.ones((3, 134), np.float32)
    scores[1, 4] = 0.1
    rows = pose_rows(())
    strips = row_scores(scores, rows)
    arm = next(place for place, row in enumerate(rows) if row.name == "right_arm")
    assert strips[arm].tolist() == pytest.approx([1, 0.1, 1])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(0, 299), st.integers(1, 80), st.integers(0, 2**32 - 1))
def test_patched_strips_are_those_made_anew(frames: int, start: int, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.random((4, frames)).astype(np.float32)
    start = min(start, frames - 1)
    new = random.random((4, min(count, frames - start))).astype(np.float32)
    heat = HeatStrips(scores.copy())
    heat.patch(start, new)
    scores[:, start : start + new.shape[1]] = new
    for ours, theirs in zip(heat._pixels, HeatStrips(scores)._pixels, strict=True):
        assert np.array_equal(ours, theirs)


def test_a_single_bad_frame_is_seen_from_far() -> None:
    scores = np.ones((1, 1000), np.float32)
    good = HeatStrips(scores.copy())._pixels[3]
    scores[0, 500] = 0.05
    assert (HeatStrips(scores)._pixels[3] != good).sum() == 1


def test_gaps_are_the_runs_of_unknown_frames() -> None:
    scores = np.ones((1, 12), np.float32)
    scores[0, [0, 1, 5, 10, 11]] = 0
    heat = HeatStrips(scores)
    assert list(heat.gaps(0, 0, 12)) == [(0, 2), (5, 6), (10, 12)]
    assert list(heat.gaps(0, 1, 11)) == [(1, 2), (5, 6), (10, 11)]


@given(st.floats(0.01, 64), st.floats(0.2, 5), st.floats(LEFT, LEFT + 1000), st.integers(1, 20000))
def test_zooming_leaves_what_is_at_the_cursor_there(
    scale: float, factor: float, x: float, frames: int
) -> None:
    span = Span(first=0, scale=scale, width=1000)
    span.fit(frames)
    before = span.frame(x)
    span.zoom(factor, x, frames)
    kept = Span(span.first, span.scale, span.width)
    kept.keep_in(frames)
    if kept.first == span.first and span.first > 0:
        assert span.frame(x) == pytest.approx(before, abs=2 + 20 / span.scale)
    assert span.scale <= 64


def test_the_rulers_numbers_do_not_run_into_each_other() -> None:
    for scale in np.geomspace(0.001, 64, 40):
        step = ruler_step(Span(0, float(scale), 1000), 30)
        assert step * scale >= 92 or step == 3600 * 30


def test_a_press_on_the_ruler_goes_there(window: Window) -> None:
    sheet = window.timeline.sheet
    Hand(sheet).press(sheet.state.span.x(50.5), 20).move(sheet.state.span.x(70.5), 20).release()
    assert window.showing.frame == 70
    assert window.media.player.frame == 70


def test_a_clip_is_trimmed_by_its_edge_in_one_step(window: Window) -> None:
    sheet, document = window.timeline.sheet, window.session.document
    window.actions_["snap"].setChecked(False)
    y = band_y(sheet, "source")
    before = document.project
    Hand(sheet).press(sheet.state.span.x(FRAMES) - 2, y).move(sheet.state.span.x(80), y).release()
    assert document.project.clips[0].count == 80
    assert document.undo() == "Trim"
    assert document.project is before


def test_escape_takes_a_drag_back(window: Window) -> None:
    sheet, document = window.timeline.sheet, window.session.document
    before = document.project
    y = band_y(sheet, "source")
    hand = Hand(sheet).press(sheet.state.span.x(FRAMES) - 2, y).move(sheet.state.span.x(60), y)
    assert document.project.clips[0].count < FRAMES
    QTest.keyClick(window, Qt.Key.Key_Escape)
    hand.release()
    assert document.project is before
    assert document.undo_label is None


def test_the_blade_cuts_where_it_is_pressed(window: Window) -> None:
    sheet = window.timeline.sheet
    window.actions_["tool_blade"].trigger()
    window.actions_["snap"].setChecked(False)
    Hand(sheet).press(sheet.state.span.x(40), band_y(sheet, "source")).release()
    assert [clip.count for clip in window.session.project.clips] == [40, FRAMES - 40]


def test_retiming_stretches_what_is_shown(window: Window) -> None:
    sheet = window.timeline.sheet
    window.actions_["tool_retime"].trigger()
    window.actions_["snap"].setChecked(False)
    y = band_y(sheet, "source")
    Hand(sheet).press(sheet.state.span.x(FRAMES) - 2, y).move(sheet.state.span.x(60), y).release()
    assert window.session.project.clips[0].speed == Fraction(2)


def test_keys_are_boxed_moved_and_deleted(window: Window, qtbot: QtBot) -> None:
    sheet, document = window.timeline.sheet, window.session.document
    window.showing.choose_joints({4})
    for frame in (30, 60):
        window.go_to(frame)
        window.actions_["key"].trigger()
    settle(qtbot)
    row = row_of(sheet, "right_arm")
    y = band_y(sheet, "row", row)
    assert sheet.state.contents.keys["right_arm"].frames.tolist() == [30, 60]
    span = sheet.state.span
    Hand(sheet).press(span.x(24), y - 7).move(span.x(70), y + 7).release()
    assert window.showing.keys == {("right_arm", 30), ("right_arm", 60)}
    window.actions_["snap"].setChecked(False)
    Hand(sheet).press(span.x(30.5), y).move(span.x(40.5), y).release()
    settle(qtbot)
    assert sheet.state.contents.keys["right_arm"].frames.tolist() == [40, 70]
    assert window.showing.keys == {("right_arm", 40), ("right_arm", 70)}
    assert document.undo_label == "Move keys"
    window.actions_["delete"].trigger()
    settle(qtbot)
    assert not len(sheet.state.contents.keys["right_arm"].frames)


def test_in_and_out_are_set_by_keys_and_dragged(window: Window, qtbot: QtBot) -> None:
    sheet = window.timeline.sheet
    window.actions_["snap"].setChecked(False)
    window.go_to(20)
    QTest.keyClick(window, Qt.Key.Key_I)
    window.go_to(80)
    QTest.keyClick(window, Qt.Key.Key_O)
    settle(qtbot)
    span = sheet.state.span
    Hand(sheet).press(span.x(20), 5).move(span.x(35), 5).release()
    project = window.session.project
    assert (project.mark_in, project.mark_out) == (35, 80)
    QTest.keyClick(window, Qt.Key.Key_X, Qt.KeyboardModifier.AltModifier)
    assert window.session.project.mark_in is None


def test_a_row_is_chosen_and_opened_by_its_name(window: Window, qtbot: QtBot) -> None:
    sheet = window.timeline.sheet
    y = band_y(sheet, "row", row_of(sheet, "left_arm"))
    Hand(sheet).press(80, y).release()
    assert window.showing.joints == set(LIMB_GROUPS["left_arm"])
    Hand(sheet).press(20, y).release()
    settle(qtbot)
    assert "left_wrist" in [row.name for row in sheet.state.rows]


def test_the_wheel_zooms_at_the_mouse(window: Window) -> None:
    sheet = window.timeline.sheet
    x = sheet.state.span.x(60)
    event = QWheelEvent(
        QPointF(x, 100), QPointF(x, 100), QPoint(), QPoint(0, 480), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(sheet, event)
    assert sheet.state.span.frame(x) == pytest.approx(60, abs=0.01)
    assert sheet.state.span.scale > 10


def test_what_is_edited_recolours_its_frames_alone(window: Window, qtbot: QtBot) -> None:
    sheet, session = window.timeline.sheet, window.session
    window.showing.choose_joints({10})
    window.actions_["key"].trigger()  # the first edit of a clip may read all of it
    settle(qtbot)
    heat = sheet.state.heat
    assert heat is not None
    before = heat.scores.copy()
    window.showing.choose_joints({4})
    window.go_to(50)
    window.actions_["hide"].trigger()
    settle(qtbot)
    row = row_of(sheet, "right_arm")
    assert sheet.state.heat is heat
    assert heat.scores[row, 50] == 0
    changed = np.argwhere(heat.scores != before)
    assert {tuple(each) for each in changed.tolist()} == {(row, 50)}
    session.document.undo()
    settle(qtbot)
    assert np.array_equal(heat.scores, before)


def test_timecode_may_be_left_for_frames(window: Window) -> None:
    assert window.timeline.sheet.state.timecode
    window.actions_["timecode"].trigger()
    assert not window.timeline.sheet.state.timecode


def test_marks_of_a_faded_drag_are_one_key(window: Window, qtbot: QtBot) -> None:
    found = window.session.poses.keypoints(window.session.project.clips[0])
    assert found is not None
    project = posing.drag(
        window.session.project, "clip", 0, 50, {4: (20.0, 20.0)}, found, fade=(6, 6)
    )
    window.session.document.do("Drag", project)
    settle(qtbot)
    assert window.timeline.sheet.state.contents.keys["right_arm"].frames.tolist() == [50]
    assert window.session.project.rate == FrameRate.parse("30")


@settings(max_examples=12, deadline=None)
@given(st.floats(0.2, 30), st.floats(0, 80), st.integers(0, 100), st.integers(1, 20))
def test_a_part_painted_anew_is_what_the_whole_would_be(
    qapp: QApplication, scale: float, first: float, start: int, count: int
) -> None:
    random = np.random.default_rng(3)
    rows = pose_rows(())
    scores = random.random((len(rows), FRAMES)).astype(np.float32)
    scores[:, 30:40] = 0
    sheet = Sheet()
    sheet.resize(700, 420)
    sheet.show_rows(rows, scores.copy())
    keys = RowKeys(np.flatnonzero(random.random(FRAMES) < 0.3))
    badge = Badge("b", (rows[1].name,), 20, 60, "activity", "trembles")
    sheet.show_contents(
        Contents(
            frames=FRAMES,
            clips=(ClipBar("c", "clip", 0, FRAMES),),
            badges=(badge,),
            keys={"": keys, rows[0].name: keys, rows[1].name: RowKeys(np.array([5, 50]))},
        )
    )
    sheet.state.span.scale, sheet.state.span.first = scale, first
    sheet.refresh()
    sheet._picture()
    new = random.random((len(rows), min(count, FRAMES - start))).astype(np.float32)
    sheet.patch_scores(start, new)
    sheet.refresh_thumbnails()
    sheet.show_cached(((0, 50),))
    part = sheet._picture().toImage()
    sheet.refresh()
    assert sheet._picture().toImage() == part
