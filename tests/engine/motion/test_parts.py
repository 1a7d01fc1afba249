"""Which part a bone moves, and which parts a point belongs to."""

from marionext.motion.parts import own_parts, part_of
from marionext.motion.roles import ROLES
from marionext.pose.skeleton import BODY_NAMES, FACE, LEFT_HAND, POINT_COUNT, RIGHT_HAND


def test_every_point_lies_in_the_part_that_its_own_bone_moves() -> None:
    joints = {
        "shoulder": "upper_arm", "elbow": "forearm", "wrist": "hand", "hip": "thigh",
        "knee": "shin", "ankle": "foot",
    }  # fmt: skip
    for side in ("left", "right"):
        for joint, role in joints.items():
            point = BODY_NAMES.index(f"{side}_{joint}")
            assert part_of(f"{side}_{role}") in own_parts(point)
    assert part_of("left_index_2") in own_parts(LEFT_HAND.start + 6)
    assert part_of("left_index_2") not in own_parts(RIGHT_HAND.start + 6)
    assert part_of("head") in own_parts(FACE.start)
    assert part_of("chest") in own_parts(BODY_NAMES.index("neck"))
    assert part_of("chest") in own_parts(BODY_NAMES.index("left_hip"))


def test_every_role_moves_a_part_that_some_point_belongs_to() -> None:
    known = {part for point in range(POINT_COUNT) for part in own_parts(point)}
    assert {part_of(role) for role in ROLES} <= known
