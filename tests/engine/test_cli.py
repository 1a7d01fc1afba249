"""The command line, called as a user calls it."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from marionext.cli import main
from marionext.pose.formats import read_track

JobMaker = Callable[..., dict[str, Any]]
DANCE = Path(__file__).parents[2] / "presets" / "motions" / "dance.bvh"
RENDER_AB = ("render", "--motion", "a", "--character", "b", "--out", "c")
SMALL = (
    "--model",
    "puppet",
    "--size",
    "64x64",
    "--steps",
    "2",
    "--window",
    "4",
    "--overlap",
    "2",
    "--no-clean",
)


def render(motion: Path, character: Path, out: Path, *more: str) -> int:
    paths = ("--motion", str(motion), "--character", str(character), "--out", str(out))
    return main(["render", *paths, *SMALL, *more])


def test_render_prints_where_the_video_is(
    track_file: Path,
    character_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert render(track_file, character_file, tmp_path / "out", "--frames", "101-103") == 0
    said = capsys.readouterr()
    assert said.out.split() == [str(tmp_path / "out" / "wave.mp4")]
    assert "3 frames" in said.err


def test_render_with_json_prints_one_event_a_line(
    track_file: Path,
    character_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert render(track_file, character_file, tmp_path / "out", "--frames", "101", "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["type"] == "finished"
    assert {"progress", "frame"} <= {event["type"] for event in events}


@pytest.mark.parametrize(
    ("more", "status"),
    [
        (("--frames", "1-5"), 3),
        (("--model", "nobody"), 4),
        (("--overlap", "4"), 2),
        (("--guidance", "much"), 2),
    ],
)
def test_exit_statuses_tell_what_went_wrong(
    track_file: Path, character_file: Path, tmp_path: Path, more: tuple[str, ...], status: int
) -> None:
    assert render(track_file, character_file, tmp_path / "out", *more) == status


@pytest.mark.parametrize("arguments", [["render"], ["dance"], ["render", "--size", "big"]])
def test_a_wrong_command_line_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_a_saved_job_is_rendered_by_batch_and_one_bad_job_does_not_stop_the_rest(
    track_file: Path,
    character_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = tmp_path / "shot.json"
    save = ("--frames", "101", "--save-job", str(job))
    assert render(track_file, character_file, tmp_path / "out", *save) == 0
    bad = tmp_path / "bad.json"
    broken = json.loads(job.read_text())
    broken["settings"]["stepz"] = 1
    bad.write_text(json.dumps(broken))
    assert main(["batch", str(bad), str(job), "--dry-run"]) == 2
    assert not (tmp_path / "out").exists()
    gone = tmp_path / "gone.json"
    gone.write_text(job.read_text().replace("wave.npz", "gone.npz"))
    assert main(["batch", str(gone), str(bad), str(job), "--no-report"]) == 2
    assert not (tmp_path / "out").exists()
    assert main(["batch", str(gone), str(bad), str(job), "--keep-going", "--no-report"]) == 6
    assert (tmp_path / "out" / "frames" / "000101.png").is_file()
    assert "stepz" in capsys.readouterr().err


def test_paths_in_a_job_file_start_at_its_folder(
    make_job: JobMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(
        motion={"path": "wave.npz"},
        character="hero.png",
        output={"directory": "here"},
        frames="101",
    )
    (tmp_path / "shot.json").write_text(json.dumps(job))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert main(["batch", str(tmp_path / "shot.json")]) == 0
    assert (tmp_path / "here" / "frames" / "000101.png").is_file()


def test_an_option_that_the_model_has_no_use_for_is_named(
    track_file: Path,
    character_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths = ["--motion", str(track_file), "--character", str(character_file)]
    command = ["render", *paths, "--out", str(tmp_path / "out")]
    assert main([*command, "--steps", "3", "--guidance", "1:3"]) == 2
    said = capsys.readouterr().err
    assert "--steps, --guidance: the model 'doll' has no such setting" in said
    assert "--model puppet" in said
    assert main([*command, "--model", "puppet", "--other", "b.png"]) == 2
    assert "--other: the model 'puppet' has no such setting" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_command_goes_on_with_the_model_that_the_render_was_begun_with(
    track_file: Path, character_file: Path, tmp_path: Path
) -> None:
    paths = ("--motion", str(track_file), "--character", str(character_file))
    command = ["render", *paths, "--out", str(tmp_path / "out"), "--frames", "101", "--no-clean"]
    small = ["--size", "64x64", "--steps", "1", "--window", "4", "--overlap", "2"]
    # As it was begun when the puppet was the usual model, and the command named none.
    assert main([*command, *small, "--model", "puppet"]) == 0
    frame = tmp_path / "out" / "frames" / "000101.png"
    before = frame.read_bytes()
    frame.unlink()
    assert main([*command, *small]) == 0
    assert frame.read_bytes() == before
    assert main([*command, "--size", "64x64", "--overwrite"]) == 0
    assert frame.read_bytes() != before


def test_plan_tells_windows_and_loads_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    puppet = ("--model", "puppet")
    assert main(["plan", "--motion", str(DANCE), *puppet, "--frames", "1-40", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["frames"] == 40
    assert plan["selection"] == "1-40"
    assert plan["steps"] == 3
    # Windows are shifted in the second step, where one more covers the clip.
    assert plan["evaluations"] == 2 * len(plan["windows"]) + (len(plan["windows"]) + 1)
    assert plan["disk_mib"] > 0
    assert main(["plan", "--motion", str(DANCE), *puppet, "--out", str(tmp_path / "no")]) == 0
    assert "windows" in capsys.readouterr().out
    assert not (tmp_path / "no").exists()


def test_plan_of_a_doll_has_neither_windows_nor_steps(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["plan", "--motion", str(DANCE), "--frames", "1-40", "--quality", "draft"]
    assert main([*arguments, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["model"], plan["size"], plan["frames"]) == ("doll", [256, 384], 40)
    assert (plan["windows"], plan["steps"], plan["device"]) == ([], 0, "cpu")
    assert plan["seconds"] > 0
    assert main(arguments) == 0
    assert "windows" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["t.npz", "t.json", "t.coco.json", "t"])
def test_track_writes_every_form(tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    arguments = ["track", str(DANCE), "-o", str(out), "--frames", "3-6", "--size", "96x128"]
    assert main(arguments) == 0
    track = read_track(out, size=(96, 128), first=3)
    assert len(track) == 4
    assert track.frames.start == 3


def test_posemap_draws_the_frames_asked_for_and_replaces_nothing(tmp_path: Path) -> None:
    arguments = ["posemap", str(DANCE), "-o", str(tmp_path), "--size", "96x128"]
    assert main([*arguments, "--frames", "5-6"]) == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["000005.png", "000006.png"]
    with Image.open(tmp_path / "000005.png") as drawn:
        assert drawn.size == (96, 128)
        assert np.asarray(drawn).any()
    assert main([*arguments, "--frames", "5-7"]) == 0
    assert (tmp_path / "000007.png").is_file()
    (tmp_path / "000005.png").write_bytes(b"mine")
    assert main([*arguments, "--frames", "5-8"]) == 1
    assert (tmp_path / "000005.png").read_bytes() == b"mine"
    assert not (tmp_path / "000008.png").exists()
    assert main([*arguments, "--frames", "6-7", "--yaw", "90"]) == 1
    assert main([*arguments, "--frames", "6-7", "--yaw", "90", "--overwrite"]) == 0


def test_models_tells_of_the_built_in_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"]: row["kind"] for row in rows}["mediapipe"] == "detector"
    states = {row["name"]: row["state"] for row in rows}
    assert states["doll"] == states["puppet"] == "ready"
    assert main(["models", "check", "puppet"]) == 0
    assert main(["models", "path", "puppet"]) == 0
    assert main(["models", "check", "nobody"]) == 4


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_the_first_interrupt_stops_cleanly_and_the_same_command_goes_on(
    track_file: Path, character_file: Path, tmp_path: Path
) -> None:
    paths = ("--motion", str(track_file), "--character", str(character_file))
    command = [sys.executable, "-m", "marionext", "render", *paths, "--out", str(tmp_path / "out")]
    command += [*SMALL, "--steps", "12", "--json"]
    calm = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=calm) as running:
        assert running.stdout is not None
        for line in running.stdout:
            event = json.loads(line)
            if event["type"] == "progress" and event["stage"] == "denoise" and event["done"] > 3:
                break
        running.send_signal(signal.SIGINT)
        rest = [json.loads(line) for line in running.stdout]
    assert running.returncode == 130
    assert rest[-1]["code"] == "cancelled"
    assert (tmp_path / "out" / "state" / "latents.safetensors").is_file()
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=calm)
    assert "going on after step" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_the_second_interrupt_ends_at_once(
    track_file: Path, character_file: Path, tmp_path: Path
) -> None:
    paths = ("--motion", str(track_file), "--character", str(character_file))
    command = [sys.executable, "-m", "marionext", "render", *paths, "--out", str(tmp_path / "out")]
    # One step takes many times longer than ending may.
    command += [*SMALL, "--steps", "50", "--size", "640x896", "--window", "8"]
    calm = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=calm) as running:
        assert running.stderr is not None
        for awaited in ("denoising", "Stopping after"):
            for line in running.stderr:
                if awaited in line:
                    break
            running.send_signal(signal.SIGINT)
        started = time.monotonic()
        said = running.stderr.read()
        status = running.wait()
    assert time.monotonic() - started < 2
    assert status == 130
    assert said == "Stopped. The same command goes on from here.\n"


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.1, 0.2])
def test_an_interrupt_in_the_first_moment_is_silent(seconds: float) -> None:
    program = f"""
        import os, signal, sys, threading
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from marionext.__main__ import start
        threading.Timer({seconds}, os.kill, (os.getpid(), signal.SIGINT)).start()
        sys.argv[1:] = ["worker"]
        sys.exit(start())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in (0, 130)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        *(["models", "check", "~nosuchuser/a"], ["takes", "~nosuchuser/a"]),
        ["render", "--motion", "~nosuchuser/a", "--character", "b", "--out", "c"],
        ["render", "--motion", "a", "--character", "~nosuchuser/b", "--out", "c"],
        ["render", "--motion", "a", "--character", "b", "--out", "~nosuchuser/c"],
        [*RENDER_AB, "--model", "~nosuchuser/d"],
        ["render", "--again", "~nosuchuser/a", "--frames", "1"],
        [
            "render",
            "--motion",
            "a",
            "--character",
            "b",
            "--out",
            "c",
            "--save-job",
            "~nosuchuser/j",
        ],
        *(["track", "~nosuchuser/a", "-o", "b.npz"], ["track", "a", "-o", "~nosuchuser/b.npz"]),
        ["track", "a", "-o", "b.npz", "--findings", "~nosuchuser/f"],
        *(["posemap", "a", "-o", "~nosuchuser/b"], ["demo", "--out", "~nosuchuser/b"]),
        *(["batch", "~nosuchuser/j.json"], ["plan", "--motion", "~nosuchuser/a"]),
        ["models", "pull", "svd", "--from", "~nosuchuser/a"],
        ["train", "--data", "~nosuchuser/a", "--out", "b"],
    ],
    ids=" ".join,
)
def test_a_home_that_is_not_there_is_said(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) in (2, 3, 4)
    assert "no user of that name" in capsys.readouterr().err
