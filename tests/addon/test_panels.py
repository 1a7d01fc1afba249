"""The sidebar: what it shows, says and offers, in real Blenders; and its words in Chinese."""

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from marionext import presets

ROOT = Path(__file__).resolve().parents[2]
ADDON = ROOT / "addon" / "marionext_addon"


# --------------------------------------------------------------------- the words, without Blender


def constants(node: ast.expr) -> Iterator[str]:
    """Yield the texts that an expression can be."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=other):
            yield from constants(body)
            yield from constants(other)
        case ast.BoolOp(values=values):
            for value in values:
                yield from constants(value)


def shown_by_call(node: ast.Call) -> Iterator[str]:
    """Yield the texts that a call shows: labels, buttons, properties, errors."""
    match node.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            pass
        case _:
            return
    options = {keyword.arg: keyword.value for keyword in node.keywords}
    if name in {"say", "poll_message_set"} or name.endswith("Error"):
        for argument in node.args[:1]:
            yield from constants(argument)
    wanted = {"text", "heading"} if isinstance(node.func, ast.Attribute) else set()
    if name.endswith("Property"):
        wanted = {"name", "description"}
        for item in getattr(options.get("items"), "elts", []):
            for part in getattr(item, "elts", [])[1:3]:
                yield from constants(part)
    elif name.endswith("Error"):
        wanted = {"hint"}
    for option in wanted & set(options):
        yield from constants(options[option])


def shown_by_class(node: ast.ClassDef) -> Iterator[str]:
    """Yield the label and the tooltip of an operator, panel or list."""
    for line in node.body:
        match line:
            case ast.Assign(targets=[ast.Name(id="bl_label" | "bl_description")], value=value):
                yield from constants(value)


def shown_texts() -> dict[str, str]:
    """Return every text of the add-on's source that reaches the user, and its file."""
    found: dict[str, str] = {}
    for path in sorted(ADDON.rglob("*.py")):
        if path.name == "chinese.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call():
                    texts = shown_by_call(node)
                case ast.ClassDef():
                    texts = shown_by_class(node)
                case ast.Assign(
                    targets=[ast.Name(id="_WORDS" | "_FACES")], value=ast.Dict() as table
                ):
                    texts = (text for value in table.values for text in constants(value))
                # What the engine says is known by its form.
                case ast.Assign(targets=[ast.Name(id="_STAGES")], value=ast.Tuple(elts=stages)):
                    texts = (text for stage in stages for text in constants(stage))
                case ast.Assign(targets=[ast.Name(id="_FORMS")], value=ast.Tuple(elts=forms)):
                    texts = (
                        t for f in forms if isinstance(f, ast.Tuple) for t in constants(f.elts[1])
                    )
                case _:
                    continue
            for text in texts:
                if any(letter.isalpha() for letter in text):
                    found.setdefault(text, path.name)
    return found


def chinese() -> dict[str, str]:
    names: dict[str, Any] = {}
    exec((ADDON / "state" / "chinese.py").read_text(encoding="utf-8"), names)
    return dict(names["CHINESE"])


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_everything_the_addon_shows_has_its_chinese_words() -> None:
    table = chinese()
    shown = shown_texts()
    assert len(shown) > 250, "the texts are found at all"
    lacking = {text: file for text, file in shown.items() if text not in table}
    assert not lacking
    for kind in ("rigs", "models"):
        for name in presets.names(kind):
            preset = presets.read(kind, name)
            about = preset.get("about") or preset.get("description", "")
            assert not about or about.strip() in table, name


def test_translations_keep_the_fields_of_what_they_translate() -> None:
    for text, words in chinese().items():
        assert fields(text) == fields(words), text
        assert words.strip() == words
        # Names stay as they are.
        assert words == text or re.search("[\u3000-\u9fff\uff00-\uffef]", words), text


# ------------------------------------------------------------------------------- in real Blenders


SHOWN_ONLY = {"MarionextFinding", "MarionextJob", "MarionextModel", "MarionextSession"}
"""Values that nobody edits: they need no tooltips."""


@pytest.fixture(scope="module", params=["4.2", "4.5", "5.2", "window"])
def told(request: pytest.FixtureRequest, new_inside: Any) -> dict[str, Any]:
    """What the story `inside/panels.py` tells of a Blender; told once for all tests."""
    return dict(new_inside(request.param).run("panels"))


@pytest.mark.blender
def test_every_property_and_operator_is_explained(told: dict[str, Any]) -> None:
    table = told["words"]
    inner = {"role", "mapping", "mapping_index", "people", "people_index", "jobs", "job_index"}
    inner |= {"edits", "edit_index"}
    checked = 0
    for owner, prop, name, description in told["interface"]:
        if owner in SHOWN_ONLY and prop:
            continue  # shown as values only
        if prop in inner or (not prop and not owner.startswith("MARIONEXT_OT")):
            continue
        if owner == "MarionextScene" and prop.startswith("model="):
            continue
        checked += 1
        assert description, f"{owner}.{prop} has no tooltip"
        assert not description.endswith("."), f"{owner}.{prop}: Blender adds the full stop"
        assert name in table, f"{owner}.{prop}: {name!r}"
        assert description in table, f"{owner}.{prop}: {description!r}"
    assert checked > 80


@pytest.mark.blender
def test_the_sidebar_says_what_is_missing(told: dict[str, Any]) -> None:
    empty = " ".join(told["empty"])  # sentences go over several lines
    assert "Select an animated armature or its character" in empty
    assert "The scene has no camera." in empty
    assert "Rig: choose an armature." in empty
    assert "Camera: the scene needs one." in empty
    assert "Use Rig" in told["offered"]
    assert told["added"] == ["FINISHED"]
    assert told["found"][:2] == ["Mixamo", 18]
    assert {"Body 18/18", "Face: head"} <= set(told["ready"])
    assert not any("choose an armature" in text for text in told["ready"])


@pytest.mark.blender
def test_crop_and_letter_box_are_shown_in_numbers(told: dict[str, Any]) -> None:
    size, shown, words = told["framing"]["CROP"]
    assert (size, shown) == ([128, 192], [720, 1080])
    assert "1920 \u00d7 1080" in words
    assert "720 \u00d7 1080" in words
    assert "38 %" in words
    size, shown, words = told["framing"]["LETTERBOX"]
    assert (size, shown) == ([128, 192], [128, 72])
    assert "60 px above and below" in words
    assert told["framing"]["same"][0]
    assert "fits as it is" in told["framing"]["same"][1]


@pytest.mark.blender
def test_a_mapping_is_mended_bone_by_bone(told: dict[str, Any]) -> None:
    mapping = told["mapping"]
    assert mapping["left_hand"] == ["mixamorig:LeftForeArm", "HAND"]
    assert mapping["right_hand"] == ["mixamorig:RightForeArm", "HAND"]
    assert mapping["kept"] == mapping["in use"] == "mixamorig:LeftForeArm"
    assert mapping["cleared"][0] == ""
    assert mapping["preset"] == ["my_own_rig", "My Own Rig", ""]
    assert mapping["detected"][0] == ""
    assert mapping["chosen"] == ["mixamo", "mixamorig:LeftHand"]
    assert mapping["selected"] == "mixamorig:Head"
    assert mapping["by list"] == ["HAND", "mixamorig:Neck"]


@pytest.mark.blender
def test_several_people_and_an_armature_without_a_body(told: dict[str, Any]) -> None:
    names, index, again, left, first_stays, _shown = told["people"]
    assert (names, index) == (["Rig", "Second"], 1)
    assert again == ["CANCELLED"]
    assert (left, first_stays) == (1, True)
    problem, advice, shown, mended, convention = told["problem"]
    assert "Plant" in problem
    assert "upper arms" in advice
    assert "No body was found" in " ".join(shown)
    assert mended == ""
    assert convention == "set by hand"


@pytest.mark.blender
def test_drawing_does_no_work(told: dict[str, Any]) -> None:
    assert told["work"]["inspected"] == 0
    assert told["work"]["opened"] == []


@pytest.mark.blender
def test_each_state_of_a_render_offers_what_can_be_done(told: dict[str, Any]) -> None:
    jobs = told["jobs"]
    for state in ("RECORDING", "QUEUED", "RUNNING"):
        assert "marionext.cancel" in jobs[state][0], state
    for state in ("RECORDING", "RUNNING"):
        assert any("1:23 left" in text for text in jobs[state][1]), state
    assert "Told what to do" in jobs["FINISHED"][1], "what had to be left out"
    assert "1 waiting" in jobs["QUEUED"][1]
    assert {"marionext.show_result", "marionext.add_strip", "marionext.camera_background"} <= set(
        jobs["FINISHED"][0]
    )
    for state in ("FAILED", "CANCELLED"):
        assert "marionext.retry" in jobs[state][0]
        assert "marionext.show_result" not in jobs[state][0]
        assert {"marionext.retry", "marionext.show_result"} <= set(jobs[f"{state}, whole"])
    assert {"Told what happened", "Told what to do"} <= set(jobs["FAILED"][1])
    assert {"The engine is gone", "Open Preferences"} <= set(jobs["engine"])
    assert jobs["no engine"][0] == "PROBLEM"
    assert "/nowhere/python" in " ".join(jobs["no engine"])


@pytest.mark.blender
def test_the_status_bar_shows_a_running_render(told: dict[str, Any]) -> None:
    status = told["status bar"]
    assert status["there"]
    assert status["idle"] == 0
    assert status["operators"] == ["marionext.cancel"]
    assert status["gone"]


@pytest.mark.blender
def test_the_interface_speaks_chinese(told: dict[str, Any]) -> None:
    if told["chinese"] is None:
        pytest.skip("this Blender was built without languages")
    assert told["chinese"] == [
        "摄像机与帧",
        "使用 X",
        "左 食指 2",
        "外观",
        "去噪 7/18，第 3/6 步",
        "12 帧，用时 1:09 min",
        "something else",
    ]
