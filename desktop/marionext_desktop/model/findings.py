"""What looks wrong in the poses of a clip, where, and the edit that mends it.

Exchanged sides, gaps and stray points are those that the engine's clean-up tells
(`marionext.pose.clean`); trembling, limbs that grow, hands off their wrists and figures that leave
the picture are looked for here. `find` looks at a whole track: call it beside the window.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from marionext.edits import Fill, PoseEdit, SetPoints, Smooth, Swap
from marionext.frames import FrameRange
from marionext.pose import PoseTrack, clean, person_sizes
from marionext.skeleton import (
    LEFT_HAND,
    LIMB_GROUPS,
    POINT_NAMES,
    RIGHT_HAND,
    SEEN_SCORE,
    point_names,
    point_numbers,
)
from marionext_desktop.model.edit_stack import Keypoints
from marionext_desktop.model.limbs import limb_of
from marionext_desktop.model.project import Project
from marionext_desktop.model.words import say, say_name

__all__ = [
    "FINDING_KINDS",
    "Finding",
    "FindingKind",
    "find",
    "gap_fills",
    "ignore",
    "is_ignored",
    "title",
]

FindingKind = Literal["swap", "gap", "outlier", "tremble", "length", "hand", "outside", "cut"]
FINDING_KINDS: tuple[FindingKind, ...] = (
    "swap", "length", "hand", "gap", "outlier", "tremble", "outside", "cut",
)  # fmt: skip
"""In the order of how much they hurt."""

_NEAR = 4
"""Frames; things of one kind and limb that are no further apart are one finding."""
_SHORT_GAP = 8
_TREMBLE_WINDOW = 15
_TREMBLE = 0.0055
"""Share of the person's size that a joint may tremble by (deviation) before it is told."""
_STRONGLY = 0.008
"""Share that is seen at once; less is calmed by a clean-up of the whole clip."""
_SPELLS = 20
"""Frames of calm that do not end a spell of trembling."""
_OFTEN_SEEN = 0.4
"""Share of the frames that a joint has to be seen in to be missed in the others."""
_BACK_AND_FORTH = -0.3
"""Correlation of an acceleration with the next one: -0.67 where nothing but noise moves a joint,
positive where somebody does."""
_LONGER = 1.18
_USUAL = 90
"""Percentile of its lengths that a limb counts as long as: foreshortening makes it shorter only."""
_OFF_WRIST = 0.05
"""Share of the person's size that a hand may be further from its wrist than it usually is."""
_LEAST_FRAMES = 3
_BONES = {
    "right upper arm": (2, 3), "right forearm": (3, 4),
    "left upper arm": (5, 6), "left forearm": (6, 7),
    "right thigh": (8, 9), "right shin": (9, 10),
    "left thigh": (11, 12), "left shin": (12, 13),
}  # fmt: skip
_HANDS = {4: RIGHT_HAND, 7: LEFT_HAND}
_BODY = range(18)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that looks wrong."""

    kind: FindingKind
    frames: FrameRange
    """Of the source."""
    points: tuple[int, ...]
    """Those that it is about; empty: all."""
    person: int
    amount: float = 0.0
    """Of a limb how much longer it is, as a share; of trembling its deviation in pixels; of an
    exchange how sure it is."""
    mend: tuple[PoseEdit, ...] = ()
    """What puts it right; empty: only the user can."""
    minor: bool = False
    """Whether it is a matter of a few frames that a clean-up of the whole clip sees to."""

    @property
    def limb(self) -> str:
        """The limb it is shown with."""
        return limb_of(self.points[0]) if self.points else "body"

    def key(self, source: str) -> str:
        """Return what it is remembered by when it is ignored.

        Args:
            source: id of the clip's source.
        """
        return f"{source}:{self.kind}:{self.person}:{self.limb}:{self.frames}"


def title(finding: Finding) -> str:
    """Return a finding in words: ``Right hand missing``."""
    limb = say_name(_limb_name(finding.points))
    match finding.kind:
        case "swap":
            return say("{limb} exchanged", limb=say(_both(finding.points)))
        case "gap":
            return say("{limb} missing", limb=limb)
        case "outlier":
            return say("{limb} astray", limb=limb)
        case "tremble":
            return say("{limb} trembles", limb=limb)
        case "length":
            bone = say(_bone_name(finding.points))
            return say("{limb} {percent} % longer", limb=bone, percent=round(100 * finding.amount))
        case "hand":
            return say("{limb} off its wrist", limb=limb)
        case "outside":
            return say("Leaves the picture")
        case "cut":
            return say("Cut")


@lru_cache(maxsize=1024)
def _limb_name(points: tuple[int, ...]) -> str:
    if len(points) == 1:
        return _sentence(POINT_NAMES[points[0]])
    if not points or len(points) > 60:
        return "Figure"
    names = point_names(points)
    return _sentence(names[0] if len(names) == 1 else limb_of(points[0]))


@lru_cache(maxsize=1024)
def _both(points: tuple[int, ...]) -> str:
    limbs = {limb_of(point).removeprefix("left_").removeprefix("right_") for point in points}
    if len(limbs) > 2:
        return "Sides"
    words = {
        "arm": "Arms",
        "leg": "Legs",
        "hand": "Hands",
        "foot": "Feet",
        "face": "Sides of the face",
    }
    for limb in ("arm", "leg", "hand", "foot", "face"):
        if limb in limbs:
            return words[limb]
    return "Sides"


def _bone_name(points: Sequence[int]) -> str:
    for name, bone in _BONES.items():
        if set(bone) & set(points) and bone[1] == points[0]:
            return _sentence(name)
    return "Limb"


def _sentence(name: str) -> str:
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


# ------------------------------------------------------------------------------------------ find


def find(track: PoseTrack) -> tuple[Finding, ...]:
    """Look for all that looks wrong, in the order of the frames.

    Args:
        track: as it is with its edits; points that were set by hand are right.
    """
    if len(track) < 2 or not track.people:
        return ()
    found: list[Finding] = []
    found += _of_the_clean_up(track)
    sizes = person_sizes(track)
    for person in range(track.people):
        points = track.points[:, person].astype(np.float64)
        scores = track.scores[:, person]
        one = _Person(track.first, person, points, scores, float(sizes[person]), track.size)
        found += [*one.trembling(), *one.lengths(), *one.hands(), *one.outside()]
    order = {kind: place for place, kind in enumerate(FINDING_KINDS)}
    return tuple(sorted(found, key=lambda each: (each.frames.start, order[each.kind])))


def _of_the_clean_up(track: PoseTrack) -> list[Finding]:
    kinds: dict[str, FindingKind] = {
        "swap": "swap",
        "gap": "gap",
        "outlier": "outlier",
        "cut": "cut",
    }
    parts: dict[tuple[FindingKind, int, str], list[Finding]] = {}
    often_seen = ((track.scores > 0).mean(0) >= _OFTEN_SEEN).T
    for each in clean(track.with_(cleaned=False)).findings:
        kind = kinds.get(each.what)
        if kind is None:
            continue
        numbers = point_numbers(each.joints)
        by_limb: dict[str, list[int]] = {}
        if kind == "gap":
            often = often_seen[:, each.person]
            numbers = tuple(number for number in numbers if often[number])
        for number in numbers:
            limb = "all" if kind in {"swap", "cut"} else limb_of(number)
            by_limb.setdefault(limb, []).append(number)
        for limb, points in by_limb.items():
            finding = Finding(kind, each.frames, tuple(points), each.person, each.sure or 0.0)
            parts.setdefault((kind, each.person, limb), []).append(finding)
    found = [joined for group in parts.values() for joined in _joined(group)]
    return [replace(each, mend=_mend(each), minor=_is_minor(each)) for each in found]


def _joined(findings: Iterable[Finding], near: int = _NEAR) -> list[Finding]:
    """Make one finding of those of a limb that lie close to each other."""
    found: list[Finding] = []
    for each in sorted(findings, key=lambda one: one.frames.start):
        last = found[-1] if found else None
        if last is not None and each.frames.start <= last.frames.stop + near:
            span = FrameRange(last.frames.start, max(last.frames.stop, each.frames.stop))
            points = tuple(sorted({*last.points, *each.points}))
            amount = max(last.amount, each.amount)
            found[-1] = replace(last, frames=span, points=points, amount=amount)
        else:
            found.append(each)
    return found


def _is_minor(finding: Finding) -> bool:
    short = len(finding.frames) <= (_SHORT_GAP if finding.kind == "gap" else _LEAST_FRAMES)
    few = len(finding.points) <= 4 and finding.limb in {"face", "left_hand", "right_hand"}
    return finding.kind in {"gap", "outlier"} and (short or few)


def _mend(finding: Finding) -> tuple[PoseEdit, ...]:
    joints = point_names(finding.points)
    part = {"frames": finding.frames, "joints": joints, "person": finding.person}
    match finding.kind:
        case "swap":
            return (Swap(**part),)  # type: ignore[arg-type]
        case "gap":
            return (Fill(**part),)  # type: ignore[arg-type]
        case "outlier" | "length":
            return (Fill(replace=True, **part),)  # type: ignore[arg-type]
        case "tremble":
            return (Smooth(window=9, **part),)  # type: ignore[arg-type]
        case _:
            return ()


@dataclass(frozen=True, slots=True)
class _Person:
    first: int
    person: int
    points: NDArray[np.float64]
    """(frames, 134, 2)."""
    scores: NDArray[np.float32]
    size: float
    picture: tuple[int, int]

    def trembling(self) -> list[Finding]:
        """Tell joints of the body that go back and forth from frame to frame."""
        count = len(self.points)
        if count < _TREMBLE_WINDOW + 2:
            return []
        joints = np.array(_BODY)
        path, seen = self.points[:, joints], self.scores[:, joints] > 0
        bend = np.zeros_like(path)
        bend[1:-1] = path[:-2] - 2 * path[1:-1] + path[2:]
        known = np.zeros_like(seen)
        known[1:-1] = seen[:-2] & seen[1:-1] & seen[2:]
        # A jump is no trembling: no bend counts for more than a few times what is told.
        limit = 6 * _TREMBLE * self.size * np.sqrt(6)
        known &= np.abs(bend).max(-1) < limit * 3
        bend = np.where(known[..., None], np.clip(bend, -limit, limit), 0)
        energy = _moving_sum((bend**2).sum(-1) / 2)
        pairs = np.zeros_like(energy)
        pairs[:-1] = (bend[:-1] * bend[1:]).sum(-1) / 2
        echo = _moving_sum(pairs)
        seen_count = np.maximum(_moving_sum(known.astype(np.float64)), 1)
        deviation = np.sqrt(energy / seen_count / 6)
        back = np.where(energy > 0, echo / np.maximum(energy, 1e-9), 0) < _BACK_AND_FORTH
        enough = seen_count >= _TREMBLE_WINDOW / 2
        wrong = back & enough & (deviation > _TREMBLE * self.size)
        found = []
        for place, joint in enumerate(joints.tolist()):
            for span in _runs(wrong[:, place], join=_NEAR, least=_LEAST_FRAMES):
                # The window tells of the frames around its middle.
                amount = float(deviation[span.start : span.stop, place].max())
                found.append(self._finding("tremble", span, (joint,), amount))
        strong = _STRONGLY * self.size
        return [
            replace(each, mend=_mend(each), minor=each.amount < strong) for each in _by_limb(found)
        ]

    def lengths(self) -> list[Finding]:
        """Tell bones that are longer than they ever are."""
        found = []
        for bone in _BONES.values():
            seen = (self.scores[:, bone] >= SEEN_SCORE).all(1)
            if seen.sum() < 2 * _LEAST_FRAMES:
                continue
            length = np.linalg.norm(self.points[:, bone[1]] - self.points[:, bone[0]], axis=-1)
            usual = float(np.percentile(length[seen], _USUAL))
            if usual < 1:
                continue
            ratio = np.where(seen, length / usual, 0)
            for span in _runs(ratio > _LONGER, join=_NEAR, least=2):
                amount = float(ratio[span.start : span.stop].max()) - 1
                points = (bone[1], *_hanging(bone[1]))
                finding = self._finding("length", span, points, amount)
                found.append(replace(finding, mend=_mend(finding)))
        return found

    def hands(self) -> list[Finding]:
        """Tell hands that are not where their wrists are, and bring them there."""
        found = []
        for wrist, hand in _HANDS.items():
            seen = (self.scores[:, wrist] >= SEEN_SCORE) & (self.scores[:, hand.start] > 0)
            if not seen.any():
                continue
            way = self.points[:, wrist] - self.points[:, hand.start]
            far = np.linalg.norm(way, axis=-1) / self.size
            usual = float(np.median(far[seen]))
            wrong = seen & (far > usual + _OFF_WRIST)
            for span in _runs(wrong, join=0, least=1):
                rows = np.arange(span.start, span.stop)
                moved = self.points[rows][:, hand] + way[rows][:, None]
                known = self.scores[rows][:, hand] > 0
                places = tuple(
                    tuple(
                        (round(float(x), 3), round(float(y), 3)) if there else None
                        for (x, y), there in zip(row, seen_there, strict=True)
                    )
                    for row, seen_there in zip(moved, known, strict=True)
                )
                finding = self._finding("hand", span, tuple(range(hand.start, hand.stop)), 0.0)
                edit = SetPoints(
                    frames=finding.frames,
                    joints=point_names(finding.points),
                    person=self.person,
                    points=places,
                    score=float(np.clip(self.scores[rows][:, hand][known].mean(), 1e-3, 1)),
                )
                found.append(replace(finding, mend=(edit,)))
        return found

    def outside(self) -> list[Finding]:
        """Tell when the figure leaves the picture, in part or altogether."""
        body = self.points[:, list(_BODY)]
        seen = self.scores[:, list(_BODY)] >= SEEN_SCORE
        width, height = self.picture
        beyond = (body < 0).any(-1) | (body[..., 0] > width) | (body[..., 1] > height)
        out: NDArray[np.bool_] = np.any(beyond & seen, axis=1)
        there: NDArray[np.bool_] = np.any(seen, axis=1)
        if there.any():
            edge = 0.02 * max(width, height)
            near = (body < edge).any(-1) | (body[..., 0] > width - edge)
            near |= body[..., 1] > height - edge
            at_edge: NDArray[np.bool_] = np.any(near & seen, axis=1)
            for span in _runs(~there, join=0, least=1):
                before = span.start > 0 and at_edge[span.start - 1]
                behind = span.stop < len(there) and at_edge[span.stop]
                if before or behind:
                    out[span.start : span.stop] = True
        return [
            self._finding("outside", span, (), 0.0)
            for span in _runs(out, join=2 * _NEAR, least=_LEAST_FRAMES)
        ]

    def _finding(
        self, kind: FindingKind, span: FrameRange, points: tuple[int, ...], amount: float
    ) -> Finding:
        frames = FrameRange(span.start + self.first, span.stop + self.first)
        return Finding(kind, frames, points, self.person, amount)


def _by_limb(findings: list[Finding]) -> list[Finding]:
    """Make one finding of joints of a limb that tremble together."""
    groups: dict[str, list[Finding]] = {}
    for each in findings:
        groups.setdefault(each.limb, []).append(each)
    return [joined for group in groups.values() for joined in _joined(group, _SPELLS)]


def _hanging(joint: int) -> tuple[int, ...]:
    """Return what goes along with the end of a bone."""
    further = {3: (4,), 6: (7,), 9: (10,), 12: (13,)}.get(joint, ())
    wrist = joint if joint in _HANDS else (further[0] if further else joint)
    if wrist in _HANDS:
        return (*further, *range(_HANDS[wrist].start, _HANDS[wrist].stop))
    foot = {10: LIMB_GROUPS["right_foot"], 13: LIMB_GROUPS["left_foot"]}.get(wrist, ())
    return (*further, *foot)


def _moving_sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums over a window around each frame: the same shape."""
    half = _TREMBLE_WINDOW // 2
    total = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
    count = len(values)
    stop = np.minimum(np.arange(count) + half + 1, count)
    start = np.maximum(np.arange(count) - half, 0)
    return np.asarray(total[stop] - total[start])


def _runs(wrong: NDArray[np.bool_], *, join: int, least: int) -> list[FrameRange]:
    """Return the stretches in which something is wrong; short breaks do not end one."""
    rows = np.flatnonzero(wrong)
    if not len(rows):
        return []
    runs = np.split(rows, np.flatnonzero(np.diff(rows) > join + 1) + 1)
    spans = [FrameRange(int(run[0]), int(run[-1]) + 1) for run in runs]
    return [span for span in spans if len(span) >= least]


# ---------------------------------------------------------------------------------------- for hosts


def gap_fills(
    now: Keypoints, person: int, span: FrameRange, joints: Sequence[int], longest: int
) -> tuple[Fill, ...]:
    """Return the edits that fill all gaps of up to some frames, limb by limb.

    Args:
        now: the clip's keypoints.
        person: of the source.
        span: frames of the source.
        joints: none: all.
        longest: frames.
    """
    start, stop = max(span.start, 0), min(span.stop, len(now))
    numbers = list(joints) or list(range(len(POINT_NAMES)))
    groups: dict[str, list[int]] = {}
    for number in numbers:
        groups.setdefault(limb_of(number), []).append(number)
    fills: list[Fill] = []
    for points in groups.values():
        unknown = now.scores[:, person, points] <= 0
        ever: NDArray[np.bool_] = ~np.all(unknown, axis=0)
        if not ever.any():
            continue
        gap: NDArray[np.bool_] = np.any(unknown[:, ever], axis=1)
        for run in _runs(gap, join=0, least=1):
            inside = start <= run.start and run.stop <= stop
            if inside and len(run) <= longest and run.start > 0 and run.stop < len(now):
                known = [point for point, there in zip(points, ever, strict=True) if there]
                fills.append(Fill(frames=run, joints=point_names(known), person=person))
    return tuple(sorted(fills, key=lambda fill: fill.frames.start if fill.frames else 0))


def ignore(project: Project, source: str, finding: Finding) -> Project:
    """Hear no more of a finding."""
    key = finding.key(source)
    if key in project.ignored:
        return project
    return replace(project, ignored=(*project.ignored, key))


def is_ignored(project: Project, source: str, finding: Finding) -> bool:
    """Tell whether a finding is one that was ignored, or mostly lies within one."""
    if not project.ignored:
        return False
    head = finding.key(source).rpartition(":")[0]
    for key in project.ignored:
        before, _, frames = key.rpartition(":")
        if before == head:
            span = FrameRange.parse(frames)
            shared = min(span.stop, finding.frames.stop) - max(span.start, finding.frames.start)
            if 2 * shared >= len(finding.frames):
                return True
    return False
