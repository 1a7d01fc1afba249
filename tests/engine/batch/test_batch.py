"""``marionext batch``: what is done, skipped, tried again, stopped, shown and reported."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from marionext.cli import main
from marionext.pose.formats import read_track, write_track

PROGRAM = (sys.executable, "-m", "marionext")
CALM = {**os.environ, "OMP_NUM_THREADS": "1"}


def files_in(folder: Path) -> dict[str, bytes]:
    """Frames and videos of a render, by their names."""
    paths = [*sorted((folder / "frames").glob("*.png")), *sorted(folder.glob("*.mp4"))]
    return {path.name: path.read_bytes() for path in paths}


def test_a_table_is_rendered_and_told_of_in_one_page(
    tmp_path: Path, track_file: Path, character_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "night.csv").write_text(
        "shot;motion;character;out;frames;settings.width;settings.height;output.side_by_side\n"
        "<one>;wave.npz;hero.png;r/{shot};101-104;64;96;no\n"
        "two;wave.npz;hero.png;r/{shot};;64;96;\n"
        "three;wave.npz;hero.png;r/{shot};1-4;64;96;\n"
    )
    assert main(["batch", str(tmp_path / "night.csv"), "--keep-going"]) == 6
    said = capsys.readouterr()
    assert said.out.split() == [str(tmp_path / "r" / n / "wave.mp4") for n in ("<one>", "two")]
    assert "failed   r/three: expected frames within 101-107" in said.err
    assert "Go on with: marionext" in said.err
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "2 done, 1 failed" in page
    assert page.count("<img ") == 4
    assert "r/&lt;one&gt;" in page
    assert "<one>" not in page
    assert "expected frames within 101-107" in page
    assert re.search(r"<script|https?://|url\(", page) is None
    figures = re.findall(r'<td class="n">([\d.]+|-|\d+%)</td>', page)
    assert len(figures) >= 6


def test_a_file_that_is_no_report_is_never_replaced(tmp_path: Path, write_job) -> None:
    jobs = [str(write_job(name, frames="101")) for name in "ab"]
    (tmp_path / "report.html").write_text("mine")
    for _ in range(2):
        assert main(["batch", *jobs, "--root", str(tmp_path)]) == 0
    assert (tmp_path / "report.html").read_text() == "mine"
    assert "2 done" in (tmp_path / "report-2.html").read_text()
    assert not (tmp_path / "report-3.html").exists()


def test_a_dry_run_says_what_each_job_and_all_of_them_take(
    tmp_path: Path, write_job, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [
        str(write_job("doll")),
        str(write_job("puppet", model="puppet", frames="101-106")),
        str(write_job("wrong", frames="1-5")),
    ]
    assert main(["batch", *jobs, "--dry-run", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in told["jobs"]] == ["out/doll", "out/wrong", "out/puppet"]
    doll, wrong, puppet = told["jobs"]
    assert doll["plan"]["frames"] == 7
    assert len(puppet["plan"]["windows"]) > 1
    assert "expected frames" in wrong["error"]
    total = told["total"]
    assert total["frames"] == 13
    assert total["seconds"] == pytest.approx(doll["plan"]["seconds"] + puppet["plan"]["seconds"])
    assert total["disk_mib"] > puppet["plan"]["disk_mib"]
    assert main(["batch", *jobs[:2], "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["job", "out/doll", "out/puppet", "all"]
    assert not (tmp_path / "out").exists()


def test_a_dry_run_counts_pictures_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = {"kind": "picture", "prompt": "a dancer", "output": "new", "count": 3}
    (tmp_path / "a.json").write_text(json.dumps(job))
    (tmp_path / "b.json").write_text(json.dumps({**job, "output": "newer", "base": "sdxl"}))
    assert main(["batch", str(tmp_path / "a.json"), "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["total"]["frames"] == 3
    assert told["total"]["seconds"] > 1
    assert main(["batch", str(tmp_path / "b.json"), "--dry-run"]) == 4
    assert "newer: the model 'sdxl' is not on this machine" in capsys.readouterr().err


def test_existing_renders_are_skipped_by_identity_and_hashes_not_by_names(
    tmp_path: Path, write_job, track_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = str(write_job("a"))
    assert main(["batch", job]) == 0
    frame = tmp_path / "out" / "a" / "frames" / "000103.png"
    before, made = frame.read_bytes(), frame.stat().st_mtime_ns
    capsys.readouterr()
    again = ["batch", job, "--skip-existing", "--json"]
    assert main(again) == 0
    assert capsys.readouterr().out == ""
    # The same motion under another name is the same render, a changed one is not.
    shutil.move(track_file, track_file.with_name("other.npz"))
    write_job("a", motion={"path": "other.npz"}, output={"directory": "out/a"})
    assert main(again) == 0
    assert capsys.readouterr().out == ""
    assert frame.stat().st_mtime_ns == made
    frame.write_bytes(before[:-20])
    assert main(again) == 0
    assert '"frame": 103' in capsys.readouterr().out
    assert frame.read_bytes() == before
    other = track_file.with_name("other.npz")
    track = read_track(other)
    points = track.points.copy()
    points[:, 0, 4] -= 12
    write_track(track.with_(points=points), other)
    assert main(again) == 1
    assert "its file of the motion differs" in capsys.readouterr().out
    assert main([*again, "--overwrite"]) == 0
    assert frame.read_bytes() != before


def test_without_keep_going_a_failure_holds_the_others_up(
    tmp_path: Path, write_job, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [str(write_job("a", frames="1-5")), str(write_job("b", frames="101"))]
    assert main(["batch", *jobs]) == 3
    assert not (tmp_path / "out" / "b").exists()
    assert "1 failed, 1 stopped" in capsys.readouterr().err
    assert main(["batch", *jobs, "--keep-going"]) == 6
    assert (tmp_path / "out" / "b" / "frames" / "000101.png").is_file()


def test_what_fails_for_want_of_the_machine_is_tried_again_and_a_wrong_job_is_not(
    tmp_path: Path, write_job, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file where a folder should be")
    assert main(["batch", str(write_job("a")), "--retry", "1"]) == 1
    assert "tried again in 1 s" in capsys.readouterr().err
    (tmp_path / "out").unlink()
    assert main(["batch", str(write_job("b", frames="1-5")), "--retry", "3"]) == 3
    assert "tried again" not in capsys.readouterr().err


def test_models_stay_loaded_from_job_to_job(
    tmp_path: Path, write_job, caplog: pytest.LogCaptureFixture
) -> None:
    from marionext.backends.svd.backend import SvdBackend

    opened = []
    real = SvdBackend.open

    def counted(self: SvdBackend, *arguments: object) -> object:
        opened.append(arguments)
        return real(self, *arguments)  # type: ignore[arg-type]

    jobs = [
        str(write_job("a", model="puppet", frames="101")),
        str(write_job("b", frames="101")),
        str(write_job("c", model="puppet", frames="102")),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SvdBackend, "open", counted)
        assert main(["batch", *jobs]) == 0
    assert len(opened) == 1


def test_only_one_of_several_jobs_is_done_by_its_name(tmp_path: Path, write_job) -> None:
    jobs = [str(write_job(name, frames="101")) for name in "ab"]
    assert main(["batch", *jobs, "--only", "out/b"]) == 0
    assert not (tmp_path / "out" / "a").exists()
    assert (tmp_path / "out" / "b" / "a.mp4").exists() or (tmp_path / "out" / "b").is_dir()
    assert main(["batch", *jobs, "--only", "out/c"]) == 2


def test_parts_for_many_machines_are_everything_once(
    tmp_path: Path, write_job, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [str(write_job(name)) for name in "abcde"]
    done = []
    for part in (1, 2, 3):
        assert main(["batch", *jobs, "--part", f"{part}/3", "--dry-run", "--json"]) == 0
        done += [row["name"] for row in json.loads(capsys.readouterr().out)["jobs"]]
    assert done == [f"out/{name}" for name in "abcde"]
    with pytest.raises(SystemExit):
        main(["batch", *jobs, "--part", "4/3"])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_ends_after_the_unit_at_work_and_the_command_goes_on(
    tmp_path: Path, write_job, number: signal.Signals
) -> None:
    puppet = {"model": "puppet", "settings": {"steps": 8}}
    jobs = [str(write_job("a", frames="101")), str(write_job("b", **puppet))]
    command = [*PROGRAM, "batch", *jobs, "--root", str(tmp_path), "--skip-existing"]
    with subprocess.Popen(
        [*command, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=CALM,
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            event = json.loads(line)
            if event["type"] == "progress" and event["stage"] == "denoise" and event["done"] > 2:
                break
        running.send_signal(number)
        running.stdout.read()
        assert running.stderr is not None
        said = running.stderr.read()
    assert running.returncode == 130, said
    page = (tmp_path / "report.html").read_text()
    assert "1 done, 1 stopped" in page
    assert "--skip-existing" in page
    state = tmp_path / "out" / "b" / "state" / "latents.safetensors"
    assert state.is_file()
    done = subprocess.run(
        [*command, "--json"], capture_output=True, text=True, check=False, env=CALM
    )
    assert done.returncode == 0, done.stderr
    assert "going on after step" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_a_watched_folder_is_rendered_as_it_fills(tmp_path: Path, write_job) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    command = [*PROGRAM, "batch", "--watch", str(inbox), "--allow-outside", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=CALM
    ) as running:
        assert running.stdout is not None
        for name in ("a", "wrong", "b"):
            job = write_job(name, frames="101")
            text = job.read_text().replace(f"out/{name}", str(tmp_path / "out" / name))
            text = "{" if name == "wrong" else text
            (inbox / f"{name}.json").write_text(text)
            if name == "wrong":
                continue
            for line in running.stdout:
                if json.loads(line)["type"] == "finished":
                    break
        time.sleep(0.2)
        running.send_signal(signal.SIGINT)
        running.stdout.read()
    assert running.returncode == 6
    for name in ("a", "b"):
        assert (tmp_path / "out" / name / "frames" / "000101.png").is_file()
    assert "2 done" in (inbox / "report.html").read_text()


def test_progress_is_told_to_farms_line_by_line(
    tmp_path: Path, write_job, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["batch", str(write_job("a")), "--openjd"]) == 0
    lines = capsys.readouterr().out.splitlines()
    kinds = {line.partition(":")[0] for line in lines}
    assert kinds == {"openjd_progress", "openjd_status"}
    shares = [float(line.split()[1]) for line in lines if line.startswith("openjd_progress")]
    assert shares == sorted(shares)
    assert shares[-1] == 100.0
    assert main(["batch", str(write_job("b", frames="1")), "--openjd"]) == 3
    assert "openjd_fail: expected frames" in capsys.readouterr().out
