from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from marionext.errors import MotionError
from marionext.frames import FrameRate
from marionext.motion.animation import JointAnimation
from marionext.motion.camera import Camera
from marionext.motion.figure import Figure
from marionext.motion.framing import frame_motion
from marionext.motion.loading import load
from marionext.motion.projection import facing, project, project_people, view_people
from marionext.motion.rigs import map_rig
from marionext.pose.edit import mirror
from marionext.pose.skeleton import (
    FACE,
    FEET,
    LEFT_HAND,
    POINT_COUNT,
    POINT_NAMES,
    RIGHT_HAND,
)
from marionext.pose.track import PoseTrack

Person = Callable[..., JointAnimation]
About = Callable[[np.ndarray, float], np.ndarray]
RIGS = Path(__file__).resolve().parents[3].parent / "shared" / "rigs"
SIZE = (360, 640)
JOINT = {name: index for index, name in enumerate(POINT_NAMES)}
UP, LEFT, ACROSS = np.array([0, 0, 1.0]), np.array([1.0, 0, 0]), np.array([0, 1.0, 0])


def _shot(animation: JointAnimation, yaw: float = 0.0, pitch: float = 0.0) -> PoseTrack:
    camera = frame_motion(animation, SIZE, yaw=yaw, pitch=pitch)
    return project(animation, map_rig(animation), camera, SIZE)


def _arms_down(about: About) -> dict[str, np.ndarray]:
    return {"LeftArm": about(ACROSS, 75), "RightArm": about(ACROSS, -75)}


def _reach(about: About, direction: list[float]) -> dict[str, np.ndarray]:
    """Let the arms hang and turn the left forearm to a direction."""
    arms = _arms_down(about)
    hanging = arms["LeftArm"] @ LEFT
    target = np.array(direction) / np.linalg.norm(direction)
    angle = np.degrees(np.arccos(hanging @ target))
    return {**arms, "LeftForeArm": about(np.cross(hanging, target), float(angle))}


def test_from_the_front_the_persons_right_is_on_the_left_of_the_picture(person: Person) -> None:
    shot = _shot(person())
    points, scores = shot.points[0, 0], shot.scores[0, 0]
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye", "ear"):
        assert points[JOINT[f"right_{part}"], 0] < points[JOINT[f"left_{part}"], 0]
    assert points[RIGHT_HAND, 0].max() < points[LEFT_HAND, 0].min()
    neck, shoulders = (
        points[JOINT["neck"]],
        points[[JOINT["left_shoulder"], JOINT["right_shoulder"]]],
    )
    np.testing.assert_allclose(neck, shoulders.mean(axis=0), atol=0.5)
    assert points[JOINT["nose"], 1] < neck[1] < points[JOINT["left_hip"], 1]
    assert (scores[:18] > 0.3).all()
    assert (scores[FACE] > 0.3).all()


def test_a_rig_scaled_by_minus_one_is_seen_as_its_mirror_image(
    person: Person, about: About
) -> None:
    rig = person([_reach(about, [0.3, -0.9, 0.2])])
    over = np.diag([-1.0, 1.0, 1.0])
    turned = replace(
        rig,
        heads=rig.heads @ over,
        tails=rig.tails @ over,
        rotations=over @ rig.rotations,
        rest_heads=rig.rest_heads @ over,
        rest_tails=rig.rest_tails @ over,
        rest_rotations=over @ rig.rest_rotations,
    )
    seen, found = mirror(_shot(rig)), _shot(turned)
    np.testing.assert_allclose(found.points, seen.points, atol=0.01)
    np.testing.assert_allclose(found.scores, seen.scores, atol=1e-3)


def test_from_behind_the_face_is_gone_and_the_sides_are_exchanged(person: Person) -> None:
    shot = _shot(person(), yaw=180)
    points, scores = shot.points[0, 0], shot.scores[0, 0]
    assert points[JOINT["right_shoulder"], 0] > points[JOINT["left_shoulder"], 0]
    assert (scores[FACE] < 0.05).all()
    assert scores[JOINT["nose"]] < 0.05
    assert scores[JOINT["left_ear"]] > 0.3


@pytest.mark.parametrize(("yaw", "near", "far"), [(90, "left", "right"), (-90, "right", "left")])
def test_in_profile_the_far_side_fades(
    person: Person, about: About, yaw: float, near: str, far: str
) -> None:
    scores = _shot(person([_arms_down(about)]), yaw=yaw).scores[0, 0]
    for part in ("ear", "eye", "shoulder", "hip", "elbow"):
        assert scores[JOINT[f"{far}_{part}"]] < 0.75 * scores[JOINT[f"{near}_{part}"]], part
    assert scores[JOINT[f"{near}_ear"]] > 0.8
    assert scores[JOINT["nose"]] > 0.5


def test_a_hand_behind_the_back_is_hidden_and_one_on_the_belly_is_not(
    person: Person, about: About
) -> None:
    behind, before = _reach(about, [-1, 0.6, 0]), _reach(about, [-1, -0.6, 0])
    animation = person([behind, before])
    hidden, seen = _shot(animation).scores[:, 0]
    assert hidden[LEFT_HAND].mean() < 0.3 < seen[LEFT_HAND].mean()
    assert hidden[JOINT["left_wrist"]] < 0.6 * seen[JOINT["left_wrist"]]
    camera = frame_motion(animation, SIZE)
    free = project(animation, map_rig(animation), camera, SIZE, occlusion=False).scores[0, 0]
    assert free[JOINT["left_wrist"]] == pytest.approx(seen[JOINT["left_wrist"]], rel=0.1)


def test_a_hand_before_the_face_hides_some_of_it(person: Person, about: About) -> None:
    animation = person([_arms_down(about), _reach(about, [-0.5, -0.6, 1.0])])
    hand, face = animation.heads[1, animation.index("LeftHandMiddle1")], [0.0, -0.1, 1.62]
    pose = np.eye(4)
    back = (hand - face) / np.linalg.norm(hand - face)
    right = np.cross(UP, back) / np.linalg.norm(np.cross(UP, back))
    pose[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
    pose[:3, 3] = face + 3 * back
    camera = Camera.still(pose, focal=2.0)
    clear, covered = project(animation, map_rig(animation), camera, SIZE).scores[:, 0, FACE]
    assert covered.mean() < 0.8 * clear.mean()
    assert covered.max() > 0.3


def test_turning_the_head_turns_the_face_and_not_the_neck(person: Person, about: About) -> None:
    shot = _shot(person([{}, {"Head": about(UP, 60)}]))
    still, turned = shot.points[:, 0]
    assert turned[JOINT["nose"], 0] > still[JOINT["nose"], 0] + 3, "to the person's left"
    np.testing.assert_allclose(turned[JOINT["neck"]], still[JOINT["neck"]], atol=1e-3)
    assert shot.scores[1, 0, JOINT["right_ear"]] > 0.8
    assert shot.scores[1, 0, JOINT["left_ear"]] < 0.3


def test_the_far_contour_of_a_turned_face_lies_on_the_cheek(person: Person, about: About) -> None:
    shot = _shot(person([{}, {"Head": about(UP, 50)}]))
    points = shot.points[1, 0, FACE]
    far = points[8:17]
    assert far[:, 0].max() > points[42:48, 0].max(), "the cheek stands out beyond the far eye"


def test_how_a_bone_is_rolled_does_not_matter(person: Person, about: About) -> None:
    animation = person([_arms_down(about), {"Head": about(UP, 30), "LeftHand": about(LEFT, 40)}])
    spins = np.stack(
        [
            about(np.array([0.3, index % 7 - 3.0, 1.0]), 37.0 * index)
            for index in range(len(animation.names))
        ]
    )
    rolled = animation.with_(
        rotations=animation.rotations @ spins, rest_rotations=animation.rest_rotations @ spins
    )
    one, other = _shot(animation), _shot(rolled)
    np.testing.assert_allclose(one.points, other.points, atol=1e-2)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)


def test_a_rest_pose_that_is_no_pose_is_seen_through(person: Person, about: About) -> None:
    """Rokoko's BVH has every bone along x at rest: only offsets and turns mean something."""
    swing = [
        {**_arms_down(about), "Head": about(UP, angle), "Hips": about(UP, angle / 2)}
        for angle in (-20.0, -10.0, 0.0, 10.0, 20.0)
    ]
    animation = person(swing)
    rest, rotations = animation.rest_heads.copy(), animation.rest_rotations.copy()
    tails = animation.rest_tails.copy()
    for bone, parent in enumerate(animation.parents):
        rotations[bone] = about(np.array([1.0, 0.4 * (bone % 3), 0.2]), 100.0 + 40 * (bone % 5))
        if parent >= 0:
            offset = animation.rest_heads[bone] - animation.rest_heads[parent]
            rest[bone] = rest[parent] + rotations[parent] @ offset
        along = animation.rest_tails[bone] - animation.rest_heads[bone]
        tails[bone] = rest[bone] + rotations[bone] @ along
    broken = animation.with_(rest_heads=rest, rest_rotations=rotations, rest_tails=tails)
    mapping = map_rig(animation)
    true = Figure.prepare(animation, mapping).place(animation)
    found = Figure.prepare(broken, mapping).place(broken)
    error = np.linalg.norm(true - found, axis=2).max(axis=0)
    assert error[:18].max() < 0.02
    assert error[FACE].max() < 0.02
    assert error[LEFT_HAND].max() < 0.01
    assert error[FEET].max() < 0.03


def test_eyes_and_jaw_are_used_where_there_are_bones(person: Person, about: About) -> None:
    extra = [
        ("LeftEye", "Head", (0.05, -0.12, 1.66)),
        ("RightEye", "Head", (-0.05, -0.12, 1.66)),
        ("Jaw", "Head", (0.0, -0.02, 1.60)),
    ]
    animation = person([{}, {"Jaw": about(LEFT, 20)}], extra=extra)
    mapping = map_rig(animation)
    assert mapping.coverage.endswith("face from the head bone with eyes and jaw")
    shut, opened = Figure.prepare(animation, mapping).place(animation)
    assert shut[JOINT["left_eye"], 2] == pytest.approx(1.66, abs=0.005)
    assert opened[FACE][57, 2] < shut[FACE][57, 2] - 0.01, "the lower lip falls"
    np.testing.assert_allclose(opened[FACE][51], shut[FACE][51])


def test_blinks_of_the_file_close_the_eyes(person: Person) -> None:
    animation = person([{}, {}]).with_(morphs=("blink",), morph_weights=np.array([[0.0], [1.0]]))
    seen, closed = Figure.prepare(animation, map_rig(animation)).place(animation)[:, FACE]
    assert closed[37, 2] < seen[37, 2] - 0.003
    np.testing.assert_allclose(closed[41], seen[41])


def test_what_is_outside_or_behind_the_camera_has_score_zero(person: Person) -> None:
    animation = person()
    pose = np.eye(4)
    pose[:3, :3] = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])  # looks along +y
    pose[:3, 3] = [0.0, -1.0, 1.6]
    close = project(animation, map_rig(animation), Camera.still(pose, focal=2.0), SIZE)
    assert close.scores[0, 0, JOINT["left_ankle"]] == 0
    assert close.scores[0, 0, JOINT["nose"]] > 0.3
    pose[:3, 3] = [0.0, 2.0, 1.6]
    away = project(animation, map_rig(animation), Camera.still(pose, focal=2.0), SIZE)
    assert not away.scores.any()
    assert np.isfinite(away.points).all()


def test_an_orthographic_camera_sees_the_same_person(person: Person, about: About) -> None:
    animation = person([_arms_down(about)])
    pose = np.eye(4)
    pose[:3, :3] = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
    pose[:3, 3] = [0.0, -50.0, 0.9]
    mapping = map_rig(animation)
    flat = project(animation, mapping, Camera.still(pose, focal=1.0, scale=2.0), SIZE)
    far = project(animation, mapping, Camera.still(pose, focal=25.0), SIZE)
    np.testing.assert_allclose(flat.points, far.points, atol=3.0)
    np.testing.assert_allclose(flat.scores, far.scores, atol=0.1)


def test_missing_limbs_have_score_zero(person: Person) -> None:
    animation = person()
    mapping = map_rig(animation).with_bones(
        {"left_shin": None, "left_foot": None, "left_toe": None, "head": None, "right_hand": None}
    )
    shot = project(animation, mapping, frame_motion(animation, SIZE), SIZE)
    scores = shot.scores[0, 0]
    assert scores[JOINT["left_ankle"]] == 0
    assert scores[JOINT["left_knee"]] > 0, "the knee is where the thigh ends"
    assert scores[JOINT["right_wrist"]] > 0, "the wrist is where the forearm ends"
    assert not scores[FACE].any()
    assert scores[JOINT["neck"]] > 0.5


def test_a_live_preview_of_single_frames_equals_the_whole(person: Person, about: About) -> None:
    animation = person([{"Head": about(UP, angle)} for angle in (0.0, 20.0, 40.0)])
    camera = frame_motion(animation, SIZE)
    figure = Figure.prepare(animation, map_rig(animation))
    whole = project(animation, figure, camera, SIZE)
    single = animation.with_(
        heads=animation.heads[1:2], tails=animation.tails[1:2], rotations=animation.rotations[1:2]
    )
    shot = project(single, figure, camera, SIZE)
    np.testing.assert_allclose(shot.points[0], whole.points[1], atol=1e-3)
    np.testing.assert_allclose(shot.scores[0], whole.scores[1], atol=1e-5)


def test_people_hide_one_another(person: Person) -> None:
    front, behind = person(at=(0.0, -1.0, 0.0)), person(at=(0.0, 0.0, 0.0))
    camera = frame_motion(front, SIZE)
    mapping = map_rig(front)
    shot = project_people([(front, mapping), (behind, mapping)], camera, SIZE)
    assert shot.people == 2
    hip = JOINT["left_hip"]
    assert shot.scores[0, 1, hip] < 0.7 * shot.scores[0, 0, hip]
    assert shot.scores[0, 1, FACE].mean() < 0.35
    slower = behind.with_(rate=FrameRate(Fraction(24)))
    with pytest.raises(MotionError, match="same time"):
        project_people([(front, mapping), (slower, mapping)], camera, SIZE)
    with pytest.raises(MotionError, match="at least one"):
        project_people([], camera, SIZE)


def test_what_rays_found_goes_before_the_body_of_capsules(person: Person, about: About) -> None:
    animation = person([_reach(about, [0.0, 1.0, 0.0])])
    mapping = map_rig(animation)
    camera = frame_motion(animation, SIZE)
    figure = Figure.prepare(animation, mapping)
    shares = np.full((1, POINT_COUNT), np.nan)
    shares[0, JOINT["left_knee"]] = 0.0
    shares[0, JOINT["right_knee"]] = 1.0
    shares[0, JOINT["left_ankle"]] = 0.5

    plain = view_people([(animation, figure)], camera, SIZE)[0]
    looked = view_people([(animation, figure)], camera, SIZE, seen=[shares])[0]

    np.testing.assert_array_equal(looked.places, plain.places)
    ratio = looked.scores[0] / np.maximum(plain.scores[0], 1e-6)
    # A hidden knee keeps what a detector infers of it; half in the open is half way.
    assert ratio[JOINT["left_knee"]] == pytest.approx(0.45)
    assert ratio[JOINT["right_knee"]] == pytest.approx(1.0)
    assert ratio[JOINT["left_ankle"]] == pytest.approx((1 + 0.35) / 2)
    others = np.isnan(shares[0])
    np.testing.assert_array_equal(looked.scores[0][others], plain.scores[0][others])


def test_a_bone_that_is_not_there_is_named(person: Person) -> None:
    mapping = map_rig(person()).with_bones({"jaw": "Beard"})
    with pytest.raises(MotionError, match="Beard"):
        Figure.prepare(person(), mapping)


def test_a_skeleton_without_size_is_refused(person: Person) -> None:
    animation = person()
    flat = animation.with_(heads=animation.heads * 0, tails=animation.tails * 0)
    with pytest.raises(MotionError, match="no size"):
        Figure.prepare(flat, map_rig(animation))


def test_a_cartoon_head_is_believed_and_a_hat_is_not(person: Person) -> None:
    eyes = [("LeftEye", "Head", (0.03, -0.11, 1.65)), ("RightEye", "Head", (-0.03, -0.11, 1.65))]
    wide = [("LeftEye", "Head", (0.10, -0.25, 1.80)), ("RightEye", "Head", (-0.10, -0.25, 1.80))]
    plain, hat, cartoon = (
        Figure.prepare(animation, map_rig(animation)).head_height
        for animation in (person(), person(extra=eyes), person(extra=wide))
    )
    assert plain == pytest.approx(0.23, abs=0.02)
    assert hat == pytest.approx(0.22, abs=0.02)
    assert cartoon > 0.5


@pytest.mark.parametrize("degrees", [0.0, 90.0, -120.0])
def test_facing_follows_the_body(person: Person, about: About, degrees: float) -> None:
    animation = person([{"Hips": about(UP, degrees)}])
    expected = about(UP, degrees) @ np.array([0.0, -1.0, 0.0])
    np.testing.assert_allclose(facing(animation, map_rig(animation)), expected, atol=1e-6)


@pytest.mark.media
@pytest.mark.skipif(not RIGS.is_dir(), reason="the rig files lie beside the repository only")
@pytest.mark.parametrize(
    "file",
    [
        "rokoko_jesse_dance.bvh", "cmu1_jumping_jacks.bvh", "dme_example.bvh", "mixamo_xbot.glb",
        "mixamo_soldier.glb", "readyplayerme_avatar.glb", "vrm_example_vrmaddon.vrm",
    ],
)  # fmt: skip
def test_real_rigs_have_human_proportions_and_the_face_in_front(file: str) -> None:
    animation = load(RIGS / file)
    figure = Figure.prepare(animation, map_rig(animation))
    places = figure.place(animation)
    front = figure.facing(animation)

    def joint(name: str) -> np.ndarray:
        return places[:, JOINT[name]]

    def span(one: str, other: str) -> float:
        return float(np.median(np.linalg.norm(joint(one) - joint(other), axis=1)))

    shoulders = span("left_shoulder", "right_shoulder")
    assert 0.1 < figure.head_height / figure.stature < 0.17
    assert 0.33 < span("left_ear", "right_ear") / shoulders < 0.75
    assert 0.4 < span("nose", "neck") / shoulders < 1.1
    assert 0.35 < span("left_hip", "right_hip") / shoulders < 0.8
    nose_ahead = np.einsum(
        "tx,tx->t", joint("nose") - (joint("left_ear") + joint("right_ear")) / 2, front
    )
    assert np.median(nose_ahead) > 0.08
    left = np.cross(UP, front)
    for part in ("shoulder", "hip", "eye", "ear"):
        apart = np.einsum("tx,tx->t", joint(f"left_{part}") - joint(f"right_{part}"), left)
        assert np.median(apart) > 0, part
