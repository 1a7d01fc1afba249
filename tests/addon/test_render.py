"""From a scene to frames and back into Blender, in real Blenders, with the puppet."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from marionext.jobs import read_job
from marionext.pose.formats import read_native
from marionext.queueing import Store
from marionext.record import Record

pytestmark = pytest.mark.blender


def test_a_scene_becomes_frames_and_they_come_back_at_their_own_place(inside) -> None:
    found = inside.run("render")
    assert {"".join(result) for result in found["results"]} == {"FINISHED"}
    assert found["after"] == found["before"]
    check_render(found["rendered"])
    shown = found["shown"]
    assert shown["strip"] == [101, 105, 4]
    assert shown["elements"] == [f"{number:06d}.png" for number in range(101, 105)]
    assert shown["channels"] == [1, 2], "a second strip goes above the first"
    # File 000101 at scene frame 101: Blender counts pictures from 1, so 100 are skipped.
    assert shown["background"] == [101, 100, 4]
    assert shown["backgrounds"] == 1, "the same render is not laid over twice"
    assert [source for _, source in shown["images"]] == ["SEQUENCE"]
    check_stepped_pose_maps(found["maps"])
    check_couple(found["couple"])
    check_queue(inside, found["queued"])
    check_own_queue(inside, found["own_queue"], found["refused"])
    assert "no picture of the character is chosen" in found["errors"]["no picture"]
    assert "is not there" in found["errors"]["lost picture"]
    assert "starts at 9 and ends at 3" in found["errors"]["empty range"]
    assert "no camera" in found["errors"]["no camera"]


def check_render(job: dict[str, Any]) -> None:
    assert (job["state"], job["progress"], job["frames_done"]) == ("FINISHED", 1.0, 4)
    assert (job["first_frame"], job["frame_count"], job["step"]) == (101, 4, 1)
    folder = Path(job["folder"])
    frames = [f"{number:06d}.png" for number in range(101, 105)]
    assert sorted(path.name for path in (folder / "frames").iterdir()) == frames
    assert Path(job["video"]).is_file()
    track = read_native(folder / "motion.npz")
    assert (track.first, len(track), str(track.rate)) == (101, 4, "24")
    assert track.scores[:, 0, :8].min() > 0.3
    record = Record.read(folder / "render.json")
    assert record.stage.name == "finished"
    assert record.job["motion"]["kind"] == "track"


def check_stepped_pose_maps(maps: dict[str, Any]) -> None:
    assert (maps["state"], maps["kind"], maps["step"]) == ("FINISHED", "POSE_MAPS", 2)
    assert (maps["progress"], maps["frames_done"], maps["frame_count"]) == (1.0, 2, 2)
    job = maps["job"]
    assert (job["kind"], job["width"], job["height"]) == ("posemaps", 128, 192)
    assert job["output"] == "posemaps", "within the job's own folder, wherever that is moved to"
    folder = Path(maps["folder"])
    assert sorted(path.name for path in (folder / "posemaps").iterdir()) == [
        "000101.png",
        "000103.png",
    ]
    # Every scene frame has its picture, the frames between show the one before.
    assert maps["strip"] == [101, 105], "the last picture is held to the end of the range"
    assert maps["held"] == [True, True, True, True]


def check_couple(job: dict[str, Any]) -> None:
    assert (job["state"], job["kind"], job["job"]["quality"]) == ("FINISHED", "DRAFT", "draft")
    track = read_native(Path(job["folder"]) / "motion.npz")
    assert track.people == 2
    first, second = track.points[0, :, 1, 0]
    assert second - first > 10, "the other one stands to the right"
    assert len(list((Path(job["folder"]) / "frames").glob("*.png"))) == 4


def check_queue(inside, files: list[str]) -> None:
    names = {Path(file).name for file in files}
    copied = {"character.png", "character.pose.npz"}
    motion = {"motion.npz", "rig_1.npz", "rig_2.npz"}
    assert names == {"job.json", "shot.json", *motion, *copied}
    folder = inside.folder / "queue" / Path(files[0]).parent
    written = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    for path in (written["motion"]["path"], written["character"], written["output"]["directory"]):
        assert not Path(path).is_absolute(), "another computer has other folders"
    job = read_job(folder / "job.json")
    assert Path(job.motion.path).is_file()
    assert str(read_native(Path(job.motion.path)).rate) == "30000/1001"


def check_own_queue(inside, job: dict[str, Any], refused: dict[str, str]) -> None:
    assert job["state"] == "FINISHED"
    assert job["message"].startswith("In the queue of this computer")
    with Store(inside.home / "queue") as store:
        (entry,) = store.entries()
    assert (entry.state, entry.output) == ("waiting", job["folder"])
    assert refused["state"] == "FAILED"
    assert "has not taken the job" in refused["message"]
    assert "expected the character, there is no" in refused["message"]


def test_a_picture_of_the_scene_has_its_pose_where_the_picture_shows_it(inside) -> None:
    found = inside.run("reference")
    for fit in ("CROP", "LETTERBOX"):
        width, height, x, y = found[fit]["picture"]
        assert [width, height] == found[fit]["size"] == [128, 192]
        # The rendered size is whole pixels: half of one can be lost on each side.
        assert found[fit]["pose"] == pytest.approx([x, y], abs=0.8)
        assert found[fit]["score"] > 0.3
    assert found["source"] == "SCENE"
    assert found["frame"] == 104
    # The user's own compositor writes nothing, and is as it was.
    assert found["written"] == [[], 3]
    assert found["groups"] == 0
    first, wide, image = found["pictures"]
    assert first == [256, 384, False, True]
    assert wide == [384, 256, False, True], "rendered again in the shape that is wanted now"
    assert image[2:] == [True, True], "the artist's image is still chosen"
    assert found["draft"] == [[128, 192], True], "a draft is smaller, its picture is the large one"
    # Blender keeps its own "Render Result" after any render; nothing else is new.
    before, after = found["before"], found["after"]
    assert after[:4] == before[:4]
    assert after[4] - before[4] in {0, 1}


def test_what_goes_wrong_ends_in_words_and_a_way_on(inside_45) -> None:
    found = inside_45.run("failures")
    assert "there is no such program" in found["missing"]["message"]
    assert "bootstrap.py install" in found["missing"]["hint"]
    assert "speaks protocol 999" in found["version"]["message"]
    assert "this is something else" in found["stranger"]["message"]
    for name in ("missing", "version", "stranger", "killed"):
        assert found[name]["state"] == "FAILED"
    assert "Retry" in found["killed"]["hint"]
    assert found["waiting"] == "QUEUED"
    # The engine's death is one job's failure: the next one starts another engine.
    assert [state for state, _ in found["mirrored"]] == ["FAILED", "RUNNING"]
    assert (found["retried"]["state"], found["retried"]["frames"]) == ("FINISHED", 4)
    assert found["cancelled"]["state"] == found["never begun"]["state"] == "CANCELLED"
    assert found["given up"]["state"] == "CANCELLED"
    assert found["cleared"][1] == 0
    if "full" in found:
        assert found["full"]["code"] == "output"
        assert "disk space" in found["full"]["hint"]
        assert found["full, retried"]["state"] == "FINISHED"
    assert found["scenes"] == 1
    assert found["tested"][0] == "PROBLEM"


def test_a_render_goes_on_without_blender_and_is_found_again(inside_45) -> None:
    left = inside_45.run("leave", options={"on_close": "LEAVE"})
    assert left["state"] == "RUNNING"
    found = inside_45.run("pick_up")
    assert found["found"][0]["state"] in {"RUNNING", "FINISHED"}
    assert found["ended"][0]["state"] == "FINISHED"
    assert (found["ended"][0]["first_frame"], found["ended"][0]["frames_done"]) == (101, 4)


def test_a_render_that_ended_with_blender_can_be_resumed_in_the_next(inside_45) -> None:
    inside_45.run("leave", options={"on_close": "END"})
    found = inside_45.run("pick_up")
    assert found["found"][0]["state"] == "CANCELLED"
    assert found["ended"][0]["state"] == "FINISHED"


def test_a_farm_learns_from_the_exit_status(inside_window) -> None:
    inside_window.run("shot")
    shot = inside_window.folder / "shot.blend"

    def render(change: str) -> subprocess.CompletedProcess[str]:
        code = f"import bpy; {change}; bpy.ops.marionext.render(exit_code=True)"
        return subprocess.run(
            [*inside_window.blender.command, "-b", str(shot), "--python-expr", code],
            env=inside_window.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=600,
        )

    done = render("pass")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((inside_window.folder / "renders").glob("*/frames/*.png"))) == 4
    failed = render("bpy.context.scene.marionext.character = '//nothing.png'")
    assert failed.returncode == 3, "as for the command line: the input is at fault"
    assert "is not there" in failed.stdout


def test_settings_mean_what_they_say(inside_45) -> None:
    found = inside_45.run("settings")
    plain = found["as it is"]
    assert (plain["settings"]["width"], plain["settings"]["height"]) == (256, 384)
    assert (plain["quality"], plain["settings"]["steps"]) == ("balanced", 3)
    assert plain["numbers"] == plain["times"] == [101, 102, 103, 104]
    assert plain["frames"] is None
    assert plain["pose"] == {"fit": "linear", "clean": False, "edits": [], "mirror": False}

    def size(name: str) -> tuple[int, int]:
        return found[name]["settings"]["width"], found[name]["settings"]["height"]

    assert size("landscape") == (384, 256)
    assert size("custom") == (576, 1024), "the nearest multiples of 64"
    assert size("scene's shape") == (1024, 576)
    width, height = size("draft")
    assert width > height
    assert width * height < 3 * 128 * 192, "the shape of the render, the pixels of a draft"
    assert found["draft"]["quality"] == "draft"
    assert found["svd"]["quality"] is None
    assert (found["svd"]["settings"]["steps"], *size("svd")) == (25, 576, 1024)

    assert (found["never touched"], found["chosen before"]) == ("doll", "puppet")
    doll = {"kind": "doll", "width": 512, "height": 768, "others": [], "refine": "off"}
    assert found["doll"]["settings"] == doll, "it has neither steps nor a seed"
    assert size("doll's own size") == (334, 500), "any even size"
    assert size("doll's draft") == (256, 384)
    assert found["doll's draft"]["settings"]["refine"] == "off"

    own = found["own"]["settings"]
    assert (own["steps"], own["seed"], own["control_strength"]) == (7, 42, 0.7)
    assert (own["guidance_min"], own["guidance_max"]) == (2.5, 2.5)
    assert found["own"]["pose"]["fit"] == "limbs"

    assert found["own range"]["numbers"] == found["own range"]["times"] == [-2, 0, 2]
    assert found["own range"]["frames"] == "-2-2:2"
    assert found["own range"]["rendered rate"] == "12"
    assert found["preview range"]["numbers"] == [102, 103]
    # Another rate is recorded between the scene's frames and numbered on from the first.
    assert found["half rate"]["times"] == [101, 103]
    assert found["half rate"]["numbers"] == [101, 102]
    assert found["film to video"]["rate"] == "30000/1001"
    assert found["film to video"]["times"][1] == pytest.approx(101 + 24 * 1001 / 30000)
    assert found["ntsc"]["rate"] == "30000/1001"
    assert found["negative"] == [-2, 5, ["-2", "-1", "0", "1", "2"]]
    assert "is not on this computer" in found["no model"]
