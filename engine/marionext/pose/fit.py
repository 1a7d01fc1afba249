"""Fit a motion to the character: its place, its size, and on request its proportions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from marionext.errors import SettingsError
from marionext.pose.limbs import rebuild
from marionext.pose.linear import (
    LinearMethod,
    apply_linear,
    reference_person,
    solve_linear,
    whole_picture,
)
from marionext.pose.proportions import compare_proportions, measure_lengths
from marionext.pose.resample import select
from marionext.pose.skeleton import BODY, SEEN_SCORE
from marionext.pose.track import PoseTrack
from marionext.skeleton import LIMB_GROUPS

__all__ = ["Fit", "FitMode", "FitReport", "fit", "fit_limbs", "fit_linear", "fit_pose"]

FitMode = Literal["none", "linear", "limbs", "inside"]
"""``none``: the picture as it is, whole and centred; ``linear``: one scale and shift for the clip;
``limbs``: the character's proportions as well; ``inside``: like limbs, and made smaller and moved
as far as needed for the whole motion to stay in the picture."""

_METHODS = {
    "joints": "The clip and the character's picture do not share an upright figure: size and place "
    "were taken from the joints that both show.",
    "boxes": "The clip and the character's picture show no joint in common: the motion was placed "
    "by the outlines of the figures.",
    "picture": "No pose was found in the character's picture or in the clip: the motion was only "
    "scaled to the picture.",
}
_OUTSIDE = 0.05
"""Share of the frames in which a limb may lie outside of the picture without a word."""
_MARGIN = 0.02
"""Of the picture's shorter side: what ``inside`` leaves free at the edges."""
_LIMBS = ("head", "left_hand", "right_hand", "left_foot", "right_foot")
_WHOLE_LIMBS = {"left_hand": 7, "right_hand": 4, "left_foot": 13, "right_foot": 10}
"""The body's joint that tells of a limb where its own points are not known."""


@dataclass(frozen=True, slots=True)
class FitReport:
    """What a fit did, for people to read."""

    mode: FitMode
    """What was done; ``linear`` where ``limbs`` was asked for and could not be done. After
    ``inside`` the ratios say whether limbs were changed."""
    method: LinearMethod
    """How the linear fit came about."""
    scale: float
    """Pixels of the result per pixel of the motion's picture, for the figure as a whole."""
    ratios: dict[str, float] = field(default_factory=dict)
    """With ``limbs``: for each part of the body, the character's length over the dancer's."""
    warnings: tuple[str, ...] = ()
    """What did not go as asked or deserves a look."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted motion and how it was fitted."""

    track: PoseTrack
    """The motion in a picture of the reference's size."""
    report: FitReport
    """What was done."""


def fit(
    track: PoseTrack,
    reference: PoseTrack,
    mode: FitMode = "linear",
    *,
    measured: PoseTrack | None = None,
    shown: Sequence[int] | None = None,
) -> Fit:
    """Fit a motion to the character's pose.

    Args:
        track: the motion.
        reference: the pose found in the character's picture, one frame, whose size is the size to
            render at. Empty of people it says nothing but the size.
        mode: how much to change.
        measured: what size, place and proportions are taken from; None: the motion. Given is a
            motion before it was changed by hand, so that a change of some frames moves no other.
        shown: numbers of the frames that are rendered, which warnings are about; None: all.

    Returns:
        The motion in the reference's size, and a report. Frames, people and scores stay as they
        are; no clip and no picture makes this raise.

    Raises:
        SettingsError: the mode is unknown.
    """
    if mode == "none":
        solved = whole_picture(track.size, reference.size)
        report = FitReport("none", solved.method, solved.scale)
        return Fit(apply_linear(track, solved, reference.size), report)
    if mode not in ("linear", "limbs", "inside"):
        raise SettingsError(f"expected a fit of none, linear, limbs or inside, got {mode!r}")
    model = track if measured is None else measured
    solved = solve_linear(model, reference)
    placed, before = (apply_linear(one, solved, reference.size) for one in (track, model))
    warnings = [_METHODS[solved.method]] if solved.method in _METHODS else []
    ratios: dict[str, float] = {}
    wanted = mode
    if mode != "linear":
        points, points_before = placed.points.copy(), before.points.copy()
        for person in range(track.people):
            ratios_or_reason = _fit_person(track, model, reference, person, points, points_before)
            if isinstance(ratios_or_reason, str):
                warnings.append(ratios_or_reason)
            else:
                ratios = ratios or ratios_or_reason
        placed, before = placed.with_(points=points), before.with_(points=points_before)
        mode = "limbs" if ratios else "linear"
    scale = ratios.get("leg", solved.scale)
    if wanted == "inside":
        placed, factor = _brought_inside(placed, before)
        mode, scale = "inside", scale * factor
    warnings += _outside(placed, shown)
    return Fit(placed, FitReport(mode, solved.method, scale, ratios, tuple(warnings)))


def fit_linear(track: PoseTrack, reference: PoseTrack, *, use_scores: bool = True) -> PoseTrack:
    """Lay a motion over the character's pose with one scale and shift for the whole clip.

    Args:
        track: the motion.
        reference: the character's pose, one frame, in the size to render at.
        use_scores: False gives the numbers of the reference implementation, which fits to unseen
            joints too.
    """
    solved = solve_linear(track, reference, use_scores=use_scores)
    return apply_linear(track, solved, reference.size, move_unknown=not use_scores)


def fit_limbs(track: PoseTrack, reference: PoseTrack) -> PoseTrack:
    """Give a motion the character's place and proportions; see `fit` for the report."""
    return fit(track, reference, "limbs").track


def fit_pose(
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
    reference: PoseTrack,
    mode: FitMode,
    motion: PoseTrack | None = None,
) -> NDArray[np.float32]:
    """Lay one pose over the character as a render of a motion would.

    Args:
        points: (people, 134, 2) in the motion's picture, brought to the size of ``reference``.
        scores: (people, 134).
        reference: the character's pose in the picture to be rendered.
        mode: of the fit.
        motion: what the fit is measured on, in a picture of the same shape; None: the pose alone.

    Returns:
        (people, 134, 2) in pixels of the picture.

    Raises:
        SettingsError: the motion has another number of people.
    """
    size = reference.size
    rate = reference.rate if motion is None else motion.rate
    now = PoseTrack(points=points[None], scores=scores[None], size=size, rate=rate)
    if motion is None:
        return np.asarray(fit(now, reference, mode).track.points[0])
    if motion.people != len(points):
        raise SettingsError(
            f"expected as many people in the pose as in the motion, {motion.people}, "
            f"got {len(points)}"
        )
    scale = np.array(size, np.float32) / np.array(motion.size, np.float32)
    clip = motion.with_(points=motion.points * scale, size=size)
    # The fit takes the pose for one more frame that was put in by hand: it measures the others.
    measured, whole = (
        clip.with_(
            points=np.concatenate([clip.points, now.points]),
            scores=np.concatenate([clip.scores, seen]),
            origins=np.concatenate([clip.origins, now.origins]),
        )
        for seen in (np.zeros_like(now.scores), now.scores)
    )
    return np.asarray(fit(whole, reference, mode, measured=measured).track.points[-1])


def _fit_person(
    track: PoseTrack,
    measured: PoseTrack,
    reference: PoseTrack,
    person: int,
    points: NDArray[np.float32],
    points_before: NDArray[np.float32],
) -> dict[str, float] | str:
    """Give one person the character's proportions, in place.

    Args:
        track: the motion.
        measured: the motion before it was changed by hand.
        reference: the character's pose; with several people, each is the model of one.
        person: which of the motion.
        points: (frames, people, 134, 2) of the motion, to write to.
        points_before: the same of ``measured``.

    Returns:
        The ratios, or the reason why nothing was changed.
    """
    whose = f"person {person + 1}" if track.people > 1 else "the figure"
    if person and person >= reference.people:
        return f"The character's picture shows fewer people than the clip: {whose} was only placed."
    target, target_scores = reference_person(reference, person)
    moving, scores = measured.points[:, person], measured.scores[:, person]
    if not (scores[:, BODY] > SEEN_SCORE).any():
        return f"No body was seen in the clip: {whose} was only placed."
    dancer = measure_lengths(moving, scores)
    character = measure_lengths(target[None], target_scores[None])
    proportions = compare_proportions(dancer, character)
    if proportions is None:
        return (
            f"The character's picture and the clip share no limb to compare: {whose} was only "
            "placed."
        )
    rate = float(track.rate)
    rebuilt = rebuild(moving, scores, proportions, target, target_scores, rate)
    if rebuilt is None:
        return f"Neck and shoulders were never seen in the clip: {whose} was only placed."
    points_before[:, person] = points[:, person] = rebuilt
    changed, changed_scores = track.points[:, person], track.scores[:, person]
    edited = (changed != moving).any(axis=(1, 2)) | (changed_scores != scores).any(axis=1)
    if not edited.any():
        return proportions.ratios
    own = rebuild(changed, changed_scores, proportions, target, target_scores, rate)
    if own is not None:
        # A change may shift the path of the whole figure; the frames around it say by how much.
        points[edited, person] = _aligned(own, rebuilt, scores, edited)[edited]
    return proportions.ratios


def _aligned(
    own: NDArray[np.float32],
    before: NDArray[np.float32],
    scores: NDArray[np.float32],
    edited: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Return a rebuilt motion (frames, 134, 2) moved to where it was built before its edits."""
    same = (scores > 0) & ~edited[:, None]
    if not same.any():
        return own
    shift = np.median((before - own)[same], axis=0)
    return np.where((own != 0).any(-1, keepdims=True), own + shift, own).astype(np.float32)


def _brought_inside(track: PoseTrack, measured: PoseTrack) -> tuple[PoseTrack, float]:
    """Make a motion smaller and move it, as little as needed for all of it to be in the picture.

    Args:
        track: to be moved.
        measured: what has to be in the picture: the motion before it was changed by hand.

    Returns:
        The motion, and by what it was scaled: at most 1.
    """
    seen = measured.scores > SEEN_SCORE
    if not seen.any():
        return track, 1.0
    size = np.array(track.size, np.float64)
    margin = _MARGIN * size.min()
    low, high = measured.points[seen].min(0), measured.points[seen].max(0)
    scale = float(min(1.0, *((size - 2 * margin) / np.maximum(high - low, 1e-6))))
    middle = (low + high) / 2
    half = (high - low) / 2 * scale
    # The nearest place at which the box around the whole motion keeps the margin.
    place = np.clip(middle, margin + half, np.maximum(size - margin - half, margin + half))
    points = (track.points - middle) * scale + place
    known = track.scores[..., None] > 0
    moved = np.where(known, points, track.points).astype(np.float32)
    return track.with_(points=moved, depths=track.depths * np.float32(scale)), scale


def _outside(track: PoseTrack, shown: Sequence[int] | None) -> list[str]:
    """Warn of limbs that leave the picture, with the number of frames in which they do."""
    if shown is not None:
        track = select(track, tuple(number for number in shown if number in track.frames))
    seen = track.scores > SEEN_SCORE
    size = np.array(track.size, np.float32)
    out = ((track.points < 0) | (track.points > size)).any(-1) & seen
    told = []
    for person in range(track.people):
        whose = f" of person {person + 1}" if track.people > 1 else ""
        for limb in _LIMBS:
            joints = list(LIMB_GROUPS[limb])
            if limb in _WHOLE_LIMBS:
                joints.append(_WHOLE_LIMBS[limb])
            known = seen[:, person, joints].any(-1)
            gone = (out[:, person, joints].sum(-1) * 2 > seen[:, person, joints].sum(-1)) & known
            if gone.sum() > _OUTSIDE * len(track):
                name = limb.replace("_", " ")
                told.append(f"{name}{whose} in {gone.sum()} of {len(track)} frames")
    if not told:
        return []
    return [
        f"outside of the picture: {', '.join(told)}. To keep the whole motion in it, fit it "
        "inside (--fit inside), or give a picture of the character with more room around it."
    ]
