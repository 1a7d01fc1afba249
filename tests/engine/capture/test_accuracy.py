"""The capture of a real dance against the poses that ControlNeXt's authors drew of it.

Their video shows, beside the result, the pose map of every second frame of the same dance, moved
and scaled as a whole to fit the character; frame 0 is the character's own pose. Ends of limbs are
read back from the map by colour, which works well for those that nothing crosses: both shoulders,
the neck and the nose.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest

from marionext.capture import extract_track
from marionext.footage import read_frames
from marionext.frames import FrameRange
from marionext.pose import PoseTrack, clean
from marionext.pose.palette import HAND_BONES, LIMB_COLOURS
from marionext.pose.skeleton import BODY_LIMBS, LEFT_HAND, RIGHT_HAND

pytestmark = [pytest.mark.media, pytest.mark.slow]

LIMBS = (0, 1, 12)
"""Neck to right shoulder, to left shoulder, to nose."""
JOINTS = (0, 1, 2, 5)
STRIDE = 2
FRAMES = 60


def limbs_by_colour(picture: np.ndarray) -> np.ndarray:
    """Tell for each pixel which limb's colour it has; -1 for none."""
    palette = cv2.cvtColor(np.array(LIMB_COLOURS, np.uint8)[None], cv2.COLOR_RGB2HSV_FULL)[0, :, 0]
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV_FULL)
    labels = np.full(picture.shape[:2], -1)
    lit = (hsv[..., 1] > 140) & (hsv[..., 2] > 45)
    away = np.abs((hsv[lit][:, :1].astype(int) - palette + 128) % 256 - 128)
    labels[lit] = np.where(away.min(1) < 8, away.argmin(1), -1)
    return labels


def limb_ends(labels: np.ndarray, limb: int) -> np.ndarray | None:
    """Find the two ends (2, 2) of a limb, or None."""
    mask = (labels == limb).astype(np.uint8)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return None
    places = np.argwhere(pieces == 1 + stats[1:, cv2.CC_STAT_AREA].argmax())[:, ::-1] + 0.5
    if len(places) < 25:
        return None
    centre = places.mean(0)
    axis = np.linalg.svd(places - centre, full_matrices=False)[2][0]
    along = (places - centre) @ axis
    return np.array([centre + axis * along.min(), centre + axis * along.max()])


@pytest.fixture(scope="module")
def drawn(media: Path) -> np.ndarray:
    """(drawn frames, 4, 2): the authors' nose, neck and shoulders, NaN where not read."""
    path = media / "reference_demo_03_posemap_and_result.mp4"
    joints = np.full((FRAMES // STRIDE, 4, 2), np.nan)
    for frame in read_frames(path, only=range(1, 1 + FRAMES // STRIDE)):
        labels = limbs_by_colour(frame.picture[:, :574])
        ends = [limb_ends(labels, limb) for limb in LIMBS]
        if any(end is None for end in ends):
            continue
        right, left, up = ends
        # The neck is the end that limbs share; the person faces us, head up.
        right, left, up = (
            right[np.argsort(-right[:, 0])],
            left[np.argsort(left[:, 0])],
            up[np.argsort(-up[:, 1])],
        )
        neck = np.median([right[0], left[0], up[0]], axis=0)
        joints[frame.index - 1] = up[1], neck, right[1], left[1]
    assert np.isfinite(joints[:, 0, 0]).mean() > 0.8
    return joints


@pytest.fixture(scope="module")
def track(networks: None, media: Path) -> PoseTrack:
    """The first frames of the dance, as they are detected."""
    return extract_track(media / "dance_02.mp4", frames=FrameRange(1, 1 + FRAMES))


@pytest.fixture(scope="module")
def captured(track: PoseTrack) -> np.ndarray:
    """(frames, 4, 2): our nose, neck and shoulders."""
    assert [BODY_LIMBS[limb] for limb in LIMBS] == [(1, 2), (1, 5), (1, 0)]
    assert (track.scores[:, 0, list(JOINTS)] > 0).mean() > 0.99
    return track.points[:, 0, list(JOINTS)]


def distances(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Fit one shift and scale per axis and return what remains, in pixels of the dance."""
    known = np.isfinite(theirs[:, 0, 0])
    ours, theirs = ours[known], theirs[known]
    apart = np.zeros(ours.shape[:2])
    for _ in range(8):
        good = apart <= np.quantile(apart, 0.8)
        rest = []
        for axis in range(2):
            scale, shift = np.polyfit(ours[good][:, axis], theirs[good][:, axis], 1)
            rest.append(ours[..., axis] + (shift - theirs[..., axis]) / scale)
        apart = np.hypot(*rest)
    return apart


def test_joints_are_where_the_authors_detector_saw_them(
    captured: np.ndarray, drawn: np.ndarray
) -> None:
    apart = distances(captured[::STRIDE], drawn)
    # Most of what is apart is the reading of the map: its lines are two pixels wide.
    assert np.median(apart) < 8


def test_every_pose_belongs_to_its_frame(captured: np.ndarray, drawn: np.ndarray) -> None:
    inner = slice(3, len(drawn) - 3)
    errors = {
        lag: np.median(
            distances(captured[STRIDE * 3 + lag :: STRIDE][: len(drawn) - 6], drawn[inner])
        )
        for lag in (-3, -2, -1, 0, 1, 2, 3)
    }
    assert min(errors, key=lambda lag: errors[lag]) == 0, errors


def hand_lines(picture: np.ndarray) -> np.ndarray:
    """Return where the authors' map shows hands, which are brighter than limbs: (pixels, 2)."""
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV_FULL)
    return np.argwhere((hsv[..., 1] > 110) & (hsv[..., 2] > 110))[:, ::-1] + 0.5


def bones(hand: np.ndarray) -> np.ndarray:
    """Return points along the bones of a hand (21, 2), every few pixels."""
    share = np.linspace(0, 1, 12)[:, None]
    return np.concatenate([hand[a] + (hand[b] - hand[a]) * share for a, b in HAND_BONES])


SCALE, SHIFT = np.array((1.1398, 1.1524)), np.array((-91.73, -70.31))
"""From the dance to the authors' map: read off both arms of frame 31, which they show well."""


@pytest.mark.parametrize("cleaned", [False, True])
def test_hands_lie_where_the_authors_detector_saw_them_and_on_their_wrists(
    track: PoseTrack, media: Path, cleaned: bool
) -> None:
    shown = clean(track).track if cleaned else track
    points, scores = shown.points[:, 0], shown.scores[:, 0]
    apart, off = [], []
    path = media / "reference_demo_03_posemap_and_result.mp4"
    for frame in read_frames(path, only=range(1, 1 + FRAMES // STRIDE)):
        index = STRIDE * (frame.index - 1)
        drawn_hands = (hand_lines(frame.picture[:, :574]) - SHIFT) / SCALE
        unit = np.linalg.norm(points[index, 2] - points[index, 5])
        for part, wrist in ((LEFT_HAND, 7), (RIGHT_HAND, 4)):
            hand, joint = points[index, part], points[index, wrist]
            if not (scores[index, part] > 0).all() or scores[index, wrist] <= 0:
                continue
            off.append(np.linalg.norm(hand[0] - joint) / unit)
            arm = (joint - points[index, wrist - 1]) / np.linalg.norm(
                joint - points[index, wrist - 1]
            )
            way = drawn_hands - joint
            near = drawn_hands[(np.linalg.norm(way, axis=1) < 0.55 * unit) & (way @ arm > 0)]
            if len(near) < 40:
                continue  # out of the authors' picture
            between = np.linalg.norm(near[:, None] - bones(hand)[None], axis=-1)
            apart.append((between.min(1).mean() + between.min(0).mean()) / 2)
    assert len(apart) > 20
    assert np.mean(apart) < 7.5
    assert max(off) < 0.2
