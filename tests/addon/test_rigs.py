"""Which bone plays which role, in real Blenders: all conventions, and what files do to rigs."""

import pytest

pytestmark = pytest.mark.blender


def test_rigs_of_every_make_are_mapped_and_recorded(inside) -> None:
    found = inside.run("rigs")

    wrong = {name: value for name, value in found["conventions"].items() if not value[0]}
    assert not wrong
    assert {value[1] for value in found["conventions"].values()} == {18}

    for kind in ("vrm1 at rest", "vrm0 at rest", "vrm1 enabled", "vrm1 disabled"):
        if kind in found:
            assert found[kind] == ["VRM humanoid", "bone_left_hand"], kind
    assert "vrm1 disabled" in found
    assert "FILE" in found["vrm sources"]
    assert found["mmd"] == ["MikuMikuDance", True, 18]

    message, hint = found["odd rig"]
    assert "no body was found in the armature 'odd'" in message
    assert "Choose the bones of both upper arms" in hint
    assert found["by hand"] == [18, ["HAND", "NONE"]]
    assert found["preset file"] == "my_odd_rig.toml"
    assert found["found again"] == ["My Odd Rig", True]
    assert "built-in preset" in found["taken name"]
    assert "has no bones" in found["no bones"]

    assert found["two"] == [3, 2, 134, 2]
    assert max(found["two agree"]) < 0.01
    assert found["two names"] == ["Rig", "Second"]
    assert found["people"] == ["Rig", "Second"]
    assert "twice" in found["twice"]

    assert found["scaled"] < 0.01
    assert found["mirrored"]
    assert found["mirrored side"]
    assert found["late bones"] < 0.01
    assert found["linked"] < 0.01
    assert found["overridden"][0]
    assert found["overridden"][1] < 0.01

    assert found["morphs"] == ["eyeBlinkLeft", "jawOpen"]
    assert [row[0] for row in found["weights"]] == pytest.approx([0, 0.4, 1], abs=0.15)
    closed, other = found["lids"]
    assert closed < 0.4
    assert other == pytest.approx(1, abs=0.1)
    assert all(found["lips"])
    assert found["face"].endswith("2 shape keys")
    assert found["hidden face"] < 0.01
