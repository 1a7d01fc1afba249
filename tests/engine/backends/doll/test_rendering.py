"""Whole renders with dolls: frames, sizes, takes, people, going on, and what is refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from marionext.capture.models import locate_models
from marionext.client import EngineProcess
from marionext.errors import ModelError
from marionext.local import LocalEngine
from marionext.pose import PoseTrack
from marionext.pose.formats import read_track, write_track
from marionext.posemap import draw
from marionext.protocol import Event, Failed, Finished, FrameWritten, Log, Progress

JobMaker = Callable[..., dict[str, Any]]
RAISED = {"kind": "offset", "frames": "103-105", "joints": ["right_arm"], "by": [0, -25]}


def run(engine: LocalEngine, job: dict[str, Any], **settings: Any) -> list[Event]:
    return engine.wait(engine.submit(job, settings), timeout=300)


def finished(engine: LocalEngine, job: dict[str, Any]) -> list[Event]:
    events = run(engine, job)
    assert isinstance(events[-1], Finished), events[-1]
    return events


def refused(engine: LocalEngine, job: dict[str, Any]) -> Failed:
    failed = run(engine, job)[-1]
    assert isinstance(failed, Failed), failed
    return failed


def frames_in(job: dict[str, Any]) -> dict[str, bytes]:
    folder = Path(job["output"]["directory"]) / "frames"
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


def pixels_in(job: dict[str, Any]) -> np.ndarray[Any, Any]:
    folder = Path(job["output"]["directory"]) / "frames"
    return np.stack([np.asarray(Image.open(path), np.int16) for path in sorted(folder.iterdir())])


def written(events: list[Event]) -> list[int]:
    return [event.frame for event in events if isinstance(event, FrameWritten)]


def said(events: list[Event]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Log))


def record_of(job: dict[str, Any]) -> dict[str, Any]:
    text = (Path(job["output"]["directory"]) / "render.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def test_n_poses_become_n_frames_and_the_figure_moves(
    engine: LocalEngine, make_doll_job: JobMaker
) -> None:
    job = make_doll_job()
    events = finished(engine, job)
    assert written(events) == list(range(101, 108))
    stages = [event.stage for event in events if isinstance(event, Progress)]
    assert "draw" in stages
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    pixels = pixels_in(job)
    assert pixels.shape == (7, 96, 64, 3)
    assert np.abs(pixels[2] - pixels[0]).max() > 60, "the arm that waves is elsewhere"
    assert not (Path(job["output"]["directory"]) / "state").exists()


def test_the_doll_is_what_renders_where_no_model_is_named(
    engine: LocalEngine, make_doll_job: JobMaker
) -> None:
    job = make_doll_job(frames="101")
    del job["model"]
    finished(engine, job)
    assert record_of(job)["job"]["model"] == "doll"


@pytest.mark.parametrize(("size", "made"), [((91, 130), (92, 130)), ((16, 16), (16, 16))])
def test_any_even_size_is_rendered_and_an_odd_one_rounded_aloud(
    engine: LocalEngine, make_doll_job: JobMaker, size: tuple[int, int], made: tuple[int, int]
) -> None:
    job = make_doll_job(frames="101", settings={"width": size[0], "height": size[1]})
    events = finished(engine, job)
    assert pixels_in(job).shape == (1, made[1], made[0], 3)
    assert ("even numbers" in said(events)) == (size != made)


def test_the_same_job_again_draws_nothing_and_a_lost_frame_comes_back_the_same(
    engine: LocalEngine, make_doll_job: JobMaker
) -> None:
    job = make_doll_job()
    finished(engine, job)
    before = frames_in(job)
    assert written(finished(engine, job)) == []
    (Path(job["output"]["directory"]) / "frames" / "000104.png").unlink()
    assert written(finished(engine, job)) == [104]
    assert frames_in(job) == before


def test_a_take_with_an_edit_draws_those_frames_only_and_the_first_comes_back(
    engine: LocalEngine, make_doll_job: JobMaker
) -> None:
    job = make_doll_job()
    finished(engine, job)
    first = frames_in(job)
    edited = {**job, "again": "103-105", "pose": {**job["pose"], "edits": [RAISED]}}
    assert written(finished(engine, edited)) == [103, 104, 105]
    second = frames_in(job)
    changed = [name for name in first if first[name] != second[name]]
    assert changed == ["000103.png", "000104.png", "000105.png"]
    folder = job["output"]["directory"]
    finished(engine, {"kind": "take", "directory": folder, "take": 0})
    assert frames_in(job) == first


def test_a_render_killed_at_any_moment_goes_on_to_the_same_bytes(
    make_doll_job: JobMaker, tmp_path: Path
) -> None:
    whole = make_doll_job(output={"directory": str(tmp_path / "whole")})
    killed = make_doll_job(output={"directory": str(tmp_path / "killed")})
    moments: list[Callable[[Event], bool]] = [
        lambda event: isinstance(event, Progress) and event.stage == "models",
        lambda event: isinstance(event, FrameWritten) and event.frame >= 103,
        lambda event: isinstance(event, Progress) and event.stage == "encode",
    ]
    for threads, moment in zip(("1", "2", "3"), moments, strict=True):
        engine = EngineProcess(environment={**os.environ, "OMP_NUM_THREADS": threads})
        engine.submit(killed)
        while not any(moment(event) for event in engine.poll()):
            assert engine.alive
        os.kill(engine.pid, signal.SIGKILL)
        engine.close()
    with EngineProcess() as engine:
        for job in (killed, whole):
            assert isinstance(engine.wait(engine.submit(job), timeout=300)[-1], Finished)
    assert frames_in(killed) == frames_in(whole)
    assert not (tmp_path / "killed" / "state").exists()


def test_frames_are_equal_whatever_the_process_and_its_threads(
    make_doll_job: JobMaker, tmp_path: Path
) -> None:
    found = []
    for threads in ("1", "4"):
        job = make_doll_job(output={"directory": str(tmp_path / threads)})
        (tmp_path / "shot.json").write_text(json.dumps(job), encoding="utf-8")
        environment = {
            **os.environ,
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), threads),
            "MARIONEXT_HOME": str(tmp_path / f"home-{threads}"),
        }
        subprocess.run(
            [sys.executable, "-m", "marionext", "batch", str(tmp_path / "shot.json")],
            env=environment,
            check=True,
            capture_output=True,
        )
        found.append(frames_in(job))
    assert len(found[0]) == 7
    assert found[0] == found[1]


def test_a_character_in_flat_colours_is_mended_and_a_photograph_is_not(
    engine: LocalEngine, make_doll_job: JobMaker, tmp_path: Path
) -> None:
    picture = Image.open(tmp_path / "hero.png").convert("RGB")
    grain = np.random.default_rng(0).normal(0, 12, (picture.height, picture.width, 3))
    grainy = np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8)
    Image.fromarray(grainy).save(tmp_path / "grainy.png")
    shutil.copy(tmp_path / "hero.pose.npz", tmp_path / "grainy.pose.npz")
    changed = {}
    for name in ("hero", "grainy"):
        plain, mended = (
            make_doll_job(
                character=str(tmp_path / f"{name}.png"),
                settings={"refine": refine},
                output={"directory": str(tmp_path / name / refine)},
            )
            for refine in ("off", "auto")
        )
        for job in (plain, mended):
            finished(engine, job)
        changed[name] = float(np.abs(pixels_in(plain) - pixels_in(mended)).mean())
        # Cut off and gone on with, or made again, it is the same to the byte.
        lost = next((Path(mended["output"]["directory"]) / "frames").iterdir())
        before = frames_in(mended)
        lost.unlink()
        finished(engine, mended)
        assert frames_in(mended) == before
    assert 0.05 < changed["hero"] < 5
    assert changed["grainy"] == 0


def test_a_doll_is_rendered_without_torch(make_doll_job: JobMaker, tmp_path: Path) -> None:
    (tmp_path / "shot.json").write_text(json.dumps(make_doll_job()), encoding="utf-8")
    blocked = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "diffusers", "transformers", "accelerate"):
            raise ImportError(f"{name} is not installed")
sys.meta_path.insert(0, Blocker())
from marionext.cli import main
character, motion, out = sys.argv[2:]
assert main(["batch", sys.argv[1]]) == 0
named = ["--motion", motion, "--character", character, "--refine", "off"]
assert main(["plan", *named]) == 0
assert main(["render", *named, "--out", out, "--size", "64x96", "--frames", "102"]) == 0
assert main(["render", "--again", out, "--frames", "102"]) == 0
assert main(["models", "list"]) == 0
"""
    paths = (tmp_path / "shot.json", tmp_path / "hero.png", tmp_path / "wave.npz", tmp_path / "o")
    done = subprocess.run(
        [sys.executable, "-c", blocked, *map(str, paths)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------------------ several people


def pair_of(track: PoseTrack) -> PoseTrack:
    """Two of the figure side by side, each half as large."""
    points = track.points * np.float32(0.5) + np.float32([0, 32])
    return track.with_(
        points=np.concatenate([points, points + np.float32([48, 0])], axis=1),
        scores=np.repeat(track.scores, 2, axis=1),
    )


@pytest.fixture
def pair(make_doll_job: JobMaker, tmp_path: Path, track_file: Path) -> dict[str, Any]:
    """A job of two people, and a second character: the first one in green."""
    write_track(pair_of(read_track(track_file)), tmp_path / "pair.npz")
    pixels = np.asarray(Image.open(tmp_path / "hero.png")).copy()
    figure = pixels[..., 2] < 200
    pixels[figure] = (20, 160, 30)
    Image.fromarray(pixels).save(tmp_path / "green.png")
    shutil.copy(tmp_path / "hero.pose.npz", tmp_path / "green.pose.npz")
    motion = {"path": str(tmp_path / "pair.npz"), "person": "all"}
    # Fitted, the first one would take the place of the character, and the second leave the frame.
    return make_doll_job(
        motion=motion,
        frames="101-102",
        pose={"clean": False, "fit": "none"},
        settings={"width": 96, "height": 128},
    )


def is_green(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (pixels[..., 1] - np.maximum(pixels[..., 0], pixels[..., 2])) > 60


def test_each_person_is_a_doll_and_may_have_a_picture_of_its_own(
    engine: LocalEngine, pair: dict[str, Any], tmp_path: Path
) -> None:
    finished(engine, pair)
    alone = pixels_in(pair)
    assert not is_green(alone).any()
    other = {**pair, "settings": {**pair["settings"], "others": [str(tmp_path / "green.png")]}}
    other["output"] = {"directory": str(tmp_path / "other")}
    finished(engine, other)
    both = pixels_in(other)
    green = is_green(both).sum(axis=(0, 1))
    assert green.sum() > 100
    assert green[: len(green) // 2].sum() < 0.1 * green.sum(), "the second one stands on the right"
    assert {"person 2", "person 2 pose"} <= record_of(other)["inputs"].keys()


def test_the_pictures_of_others_are_hashed_and_never_written_to(
    engine: LocalEngine, pair: dict[str, Any], tmp_path: Path
) -> None:
    green = tmp_path / "green.png"
    pair["settings"]["others"] = [str(green)]
    finished(engine, pair)
    elsewhere = tmp_path / "moved.png"
    shutil.copy(green, elsewhere)
    shutil.copy(green.with_suffix(".pose.npz"), elsewhere.with_suffix(".pose.npz"))
    pair["settings"]["others"] = [str(elsewhere)]
    assert written(finished(engine, pair)) == [], "it may lie anywhere"
    Image.new("RGB", (96, 128), (0, 0, 99)).save(elsewhere)
    assert "person 2 differs" in refused(engine, pair).message
    inside = tmp_path / "new" / "frames" / "000101.png"
    inside.parent.mkdir(parents=True)
    shutil.copy(green, inside)
    pair["settings"]["others"] = [str(inside)]
    pair["output"] = {"directory": str(tmp_path / "new")}
    assert "the person 2" in refused(engine, pair).message
    assert inside.read_bytes() == green.read_bytes()


def test_a_picture_of_somebody_else_that_is_not_there_is_named(
    engine: LocalEngine, pair: dict[str, Any], tmp_path: Path
) -> None:
    pair["settings"]["others"] = [str(tmp_path / "nobody.png")]
    assert "nobody.png" in refused(engine, pair).message
    assert not (tmp_path / "out" / "frames").exists()


# --------------------------------------------------------------------------------- characters


def test_ready_made_pose_maps_are_refused_and_it_is_said_what_does(
    engine: LocalEngine, make_doll_job: JobMaker, tmp_path: Path, track_file: Path
) -> None:
    track = read_track(track_file)
    (tmp_path / "maps").mkdir()
    for index in range(3):
        drawn = draw(track.points[index], track.scores[index], track.size, (64, 64))
        Image.fromarray(drawn).save(tmp_path / "maps" / f"{index:04d}.png")
    failed = refused(engine, make_doll_job(motion={"path": str(tmp_path / "maps")}))
    assert failed.code == "motion"
    assert "needs keypoints" in failed.message
    assert "--model puppet" in str(failed.hint)
    assert not (tmp_path / "out").exists()


def test_a_picture_whose_pose_is_not_known_says_how_to_give_it_and_the_folder_stays_free(
    engine: LocalEngine, make_doll_job: JobMaker, tmp_path: Path
) -> None:
    beside = tmp_path / "hero.pose.npz"
    aside = beside.rename(tmp_path / "aside.npz")
    job = make_doll_job(frames="101")
    failed = refused(engine, job)
    assert failed.code == "model", "no detector is there"
    assert "hero.pose.npz" in str(failed.hint)
    assert "models pull mediapipe" in str(failed.hint)
    aside.rename(beside)
    finished(engine, job)


def test_a_picture_in_which_nobody_is_found_is_refused_with_what_to_do(
    engine: LocalEngine,
    make_doll_job: JobMaker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MARIONEXT_HOME")
    try:
        locate_models()
    except ModelError as error:
        pytest.skip(f"{error.message} ({error.hint})")
    character = tmp_path / "meadow.png"
    Image.new("RGB", (200, 300), (90, 160, 60)).save(character)
    failed = refused(engine, make_doll_job(character=str(character)))
    assert failed.code == "character"
    assert "nobody was found" in failed.message
    assert "meadow.pose.npz" in str(failed.hint)


def test_a_pose_of_nobody_is_refused(
    engine: LocalEngine, make_doll_job: JobMaker, tmp_path: Path
) -> None:
    beside = tmp_path / "hero.pose.npz"
    track = read_track(beside)
    write_track(track.with_(scores=track.scores * 0), beside)
    failed = refused(engine, make_doll_job(frames="101"))
    assert failed.code == "character"
    assert "nobody is in it" in failed.message


def save_character(path: Path, picture: Image.Image, track: PoseTrack) -> str:
    """Save a picture and its pose, the figure scaled with the picture."""
    picture.save(path)
    write_track(track, path.with_suffix(".pose.npz"))
    return str(path)


def test_a_small_a_transparent_and_a_large_picture_become_dolls(
    engine: LocalEngine, make_doll_job: JobMaker, tmp_path: Path
) -> None:
    track = read_track(tmp_path / "hero.pose.npz")
    hero = Image.open(tmp_path / "hero.png")
    small = track.with_(points=track.points * np.float32([64 / 96, 64 / 128]), size=(64, 64))
    cut_out = hero.convert("RGBA")
    cut_out.putalpha(Image.fromarray((np.asarray(hero)[..., 2] < 200).astype(np.uint8) * 255))
    pictures = {
        "small": (hero.resize((64, 64)), small),
        "transparent": (cut_out, track),
        "large": (hero.resize((2400, 3200)), track),
    }
    for name, (picture, pose) in pictures.items():
        character = save_character(tmp_path / f"{name}.png", picture, pose)
        output = {"directory": str(tmp_path / name)}
        job = make_doll_job(frames="101-102", character=character, output=output)
        finished(engine, job)
        assert pixels_in(job).std() > 10, name
    corner = np.asarray(Image.open(tmp_path / "transparent" / "frames" / "000101.png"))[0, 0]
    assert (corner > 240).all(), "transparency is laid over white"


def test_a_figure_that_the_edge_cuts_off_is_drawn_as_far_as_it_is_known(
    engine: LocalEngine, make_doll_job: JobMaker, tmp_path: Path
) -> None:
    hero = Image.open(tmp_path / "hero.png").crop((0, 0, 96, 84))
    track = read_track(tmp_path / "hero.pose.npz")
    scores = track.scores.copy()
    scores[track.points[..., 1] > 84] = 0
    character = save_character(
        tmp_path / "cut.png", hero, track.with_(scores=scores, size=(96, 84))
    )
    job = make_doll_job(character=character)
    finished(engine, job)
    assert len(frames_in(job)) == 7


def test_a_transparent_picture_in_which_nothing_is_left_is_refused(
    engine: LocalEngine, make_doll_job: JobMaker, tmp_path: Path
) -> None:
    track = read_track(tmp_path / "hero.pose.npz")
    ghost = Image.new("RGBA", (96, 128), (200, 30, 30, 0))
    character = save_character(tmp_path / "ghost.png", ghost, track)
    failed = refused(engine, make_doll_job(character=character))
    assert failed.code == "character"
    assert "nothing of it is white or opaque" in failed.message


def test_the_mask_beside_the_picture_is_the_outline_and_has_to_have_its_size(
    engine: LocalEngine, make_doll_job: JobMaker, tmp_path: Path
) -> None:
    job = make_doll_job(frames="101")
    Image.new("L", (96, 127), 255).save(tmp_path / "hero.mask.png")
    failed = refused(engine, job)
    assert "expected a mask of 96x128" in failed.message
    assert "got 96x127" in failed.message
    figure = np.asarray(Image.open(tmp_path / "hero.png"))[..., 2] < 200
    Image.fromarray(figure.astype(np.uint8) * 255).save(tmp_path / "hero.mask.png")
    finished(engine, job)
    assert "character mask" in record_of(job)["inputs"]
    first = frames_in(job)
    half = figure & (np.arange(128)[:, None] < 64)
    Image.fromarray(half.astype(np.uint8) * 255).save(tmp_path / "hero.mask.png")
    assert "character mask differs" in refused(engine, job).message
    assert frames_in(job) == first


def test_a_folder_that_is_no_layered_doll_is_refused(
    engine: LocalEngine, make_doll_job: JobMaker, tmp_path: Path
) -> None:
    (tmp_path / "pictures").mkdir()
    failed = refused(engine, make_doll_job(character=str(tmp_path / "pictures")))
    assert failed.code == "character"
    assert "without doll.json" in failed.message
