from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from marionext.frames import FrameRange, FrameRate
from marionext.pose import PoseTrack, apply
from marionext_desktop.model import editing
from marionext_desktop.model.document import Document
from marionext_desktop.model.edit_stack import EditStack
from marionext_desktop.model.findings import Finding, find, gap_fills, ignore, is_ignored, title
from marionext_desktop.model.looking import Findings, mended
from marionext_desktop.model.poses import Poses
from marionext_desktop.model.project import Project, Source

SIZE = (600, 800)


def dancing(frames: int = 120) -> PoseTrack:
    """Make a calm dance with hands: arms that swing, a body that sways."""
    body = np.array([
        (300, 150), (300, 220), (250, 220), (220, 310), (200, 390), (350, 220), (380, 310),
        (400, 390), (270, 430), (262, 560), (260, 690), (330, 430), (338, 560), (340, 690),
        (290, 140), (310, 140), (272, 150), (328, 150),
    ], np.float64)  # fmt: skip
    time = np.arange(frames) / 30
    points = np.zeros((frames, 1, 134, 2))
    sway = 20 * np.sin(2 * np.pi * 0.4 * time)
    points[:, 0, :18] = body
    points[:, 0, :18, 0] += sway[:, None]
    swing = 25 * np.sin(2 * np.pi * 0.7 * time)
    for joint, part in ((3, 0.5), (4, 1.0), (6, -0.5), (7, -1.0)):
        points[:, 0, joint, 1] += part * swing
    random = np.random.default_rng(1)
    for hand, wrist in ((92, 7), (113, 4)):
        fan = np.array([(0, 0), *[(4 * f - 8, 6 * j + 8) for f in range(5) for j in range(4)]])
        points[:, 0, hand : hand + 21] = points[:, 0, wrist, None] + fan
    points += random.normal(0, 0.15, points.shape)
    scores = np.zeros((frames, 1, 134), np.float32)
    scores[:, :, :18] = 0.9
    scores[:, :, 92:134] = 0.8
    return PoseTrack(
        points=points.astype(np.float32), scores=scores, size=SIZE, rate=FrameRate(Fraction(30))
    )


def kinds(found: tuple[Finding, ...]) -> list[str]:
    return [each.kind for each in found if not each.minor]


def test_a_calm_dance_has_nothing_wrong() -> None:
    assert find(dancing()) == ()


def test_exchanged_arms_are_found_and_mended() -> None:
    track = dancing()
    points = track.points.copy()
    points[50:62, 0, 2:8] = points[50:62, 0, [5, 6, 7, 2, 3, 4]]
    wrong = track.with_(points=points)
    swaps = [each for each in find(wrong) if each.kind == "swap"]
    assert [(each.frames, title(each)) for each in swaps] == [
        (FrameRange(50, 62), "Arms exchanged")
    ]
    right = apply(wrong, swaps[0].mend)
    assert np.allclose(right.points[:, 0, 2:8], track.points[:, 0, 2:8])
    assert "swap" not in kinds(find(right))


def test_a_missing_hand_is_found_and_filled() -> None:
    track = dancing()
    scores = track.scores.copy()
    scores[30:45, 0, 113:134] = 0
    (gap,) = [each for each in find(track.with_(scores=scores)) if not each.minor]
    assert (gap.kind, gap.frames, title(gap)) == ("gap", FrameRange(30, 45), "Right hand missing")
    filled = apply(track.with_(scores=scores), gap.mend)
    assert (filled.scores[30:45, 0, 113:134] > 0).all()
    assert np.abs(filled.points - track.points)[30:45, 0, 113:134].max() < 15


def test_a_trembling_wrist_is_found_and_calmed() -> None:
    track = dancing()
    points = track.points.copy()
    noise = np.random.default_rng(5).normal(0, 5, (40, 2))
    points[60:100, 0, 4] += noise.astype(np.float32)
    wrong = track.with_(points=points)
    found = [each for each in find(wrong) if each.kind == "tremble"]
    assert [title(each) for each in found] == ["Right wrist trembles"]
    assert abs(found[0].frames.start - 60) <= 8
    assert abs(found[0].frames.stop - 100) <= 8
    calm = apply(wrong, found[0].mend)
    before = np.abs(np.diff(wrong.points[62:98, 0, 4], n=2, axis=0)).mean()
    assert np.abs(np.diff(calm.points[62:98, 0, 4], n=2, axis=0)).mean() < before / 2


def test_a_forearm_that_grows_is_found() -> None:
    track = dancing()
    points = track.points.copy()
    way = points[70:76, 0, 7] - points[70:76, 0, 6]
    points[70:76, 0, 7] += way * 0.4
    points[70:76, 0, 92:113] += (way * 0.4)[:, None]
    found = [each for each in find(track.with_(points=points)) if each.kind == "length"]
    assert [(each.frames, each.limb) for each in found] == [(FrameRange(70, 76), "left_arm")]
    assert title(found[0]) == "Left forearm 40 % longer"
    mended_track = apply(track.with_(points=points), found[0].mend)
    assert np.abs(mended_track.points[70:76, 0, 7] - track.points[70:76, 0, 7]).max() < 12


def test_a_hand_off_its_wrist_is_brought_back() -> None:
    track = dancing()
    points = track.points.copy()
    points[20:30, 0, 92:113] += 80
    wrong = track.with_(points=points)
    found = [each for each in find(wrong) if each.kind == "hand"]
    assert [(each.frames, title(each)) for each in found] == [
        (FrameRange(20, 30), "Left hand off its wrist")
    ]
    right = apply(wrong, found[0].mend)
    assert np.abs(right.points[20:30, 0, 92:113] - track.points[20:30, 0, 92:113]).max() < 3


def test_a_figure_that_leaves_the_picture_is_told() -> None:
    track = dancing()
    points = track.points.copy()
    points[90:110, ..., 0] += 420
    found = [each for each in find(track.with_(points=points)) if each.kind == "outside"]
    assert len(found) == 1
    assert found[0].mend == ()
    assert found[0].frames.start in range(88, 93)


def test_gaps_up_to_a_length_are_filled() -> None:
    track = dancing()
    scores = track.scores.copy()
    scores[10:14, 0, 92:113] = 0
    scores[50:70, 0, 92:113] = 0
    now = EditStack(track.with_(scores=scores)).keypoints
    fills = gap_fills(now, 0, FrameRange(0, 120), (), 8)
    assert [(fill.frames, fill.joints) for fill in fills] == [(FrameRange(10, 14), ("left_hand",))]
    assert len(gap_fills(now, 0, FrameRange(0, 120), (), 30)) == 2
    assert gap_fills(now, 0, FrameRange(20, 120), (), 8) == ()


def test_what_is_ignored_is_not_heard_of_again() -> None:
    finding = Finding("gap", FrameRange(10, 20), (4,), 0)
    project = ignore(Project(), "s", finding)
    assert is_ignored(project, "s", finding)
    assert is_ignored(project, "s", replace(finding, frames=FrameRange(11, 21)))
    assert not is_ignored(project, "s", replace(finding, frames=FrameRange(19, 40)))
    assert not is_ignored(project, "other", finding)
    assert ignore(project, "s", finding) is project


@pytest.fixture
def document() -> Document:
    source = Source(
        id="s", path="/m.npz", kind="poses", name="m", frames=120, size=SIZE,
        rate=FrameRate(Fraction(30)),
    )  # fmt: skip
    project = editing.add_source(Project(), source)
    clip = replace(editing.whole_clip(project, "s"), id="c")
    return Document(editing.append(project, clip))


def test_the_list_follows_the_document(document: Document, qtbot: QtBot) -> None:
    track = dancing()
    scores = track.scores.copy()
    scores[30:45, 0, 113:134] = 0
    poses = Poses(document)
    poses.put_track(document.project.sources[0], track.with_(scores=scores))
    findings = Findings(document, poses)
    with qtbot.waitSignal(findings.changed, timeout=20_000):
        findings.watch("c")
    clip = document.project.clip("c")
    (gap,) = findings.of(clip)
    document.do("Mend", mended(document.project, "c", [gap]))
    qtbot.waitUntil(lambda: findings.of(document.project.clip("c")) == (), timeout=20_000)
    document.undo()
    qtbot.waitUntil(lambda: findings.of(document.project.clip("c")) == (gap,), timeout=20_000)
    document.do("Ignore", ignore(document.project, "s", gap))
    assert findings.of(document.project.clip("c")) == ()
    assert findings.of(document.project.clip("c"), ignored=True) == (gap,)
    findings.close()
    poses.close()
