"""A batch in a process of its own meets damaged files, closed folders and full disks."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

PROGRAM = (sys.executable, "-m", "marionext")
CALM = {**os.environ, "OMP_NUM_THREADS": "1"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="closes folders and disks as Unix does"),
]


def batch(*arguments: str | Path, most: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run a batch; with ``most``, no file that it writes may have more bytes."""
    command: Sequence[str] = [*PROGRAM, "batch", *map(str, arguments), "--no-report"]
    if most is not None:
        limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))"
        start = "import sys; from marionext.__main__ import start; sys.exit(start())"
        command = [sys.executable, "-c", f"{limit}; {start}", *command[3:]]
    home = {"MARIONEXT_HOME": os.environ["MARIONEXT_HOME"]}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env={**CALM, **home}
    )


def results(folder: Path) -> dict[str, bytes]:
    paths = [*sorted((folder / "frames").glob("*")), *sorted(folder.glob("*.mp4"))]
    return {path.name: path.read_bytes() for path in paths}


def test_a_picture_a_manifest_and_a_list_that_are_cut_off_cost_their_own_jobs_only(
    tmp_path: Path, write_job
) -> None:
    jobs = [write_job(name) for name in "abc"]
    assert batch(*jobs).returncode == 0
    whole = {name: results(tmp_path / "out" / name) for name in "abc"}
    frame = tmp_path / "out" / "a" / "frames" / "000104.png"
    frame.write_bytes(frame.read_bytes()[:100])
    record = tmp_path / "out" / "b" / "render.json"
    record.write_bytes(record.read_bytes()[:300])
    jobs[2].write_bytes(jobs[2].read_bytes()[:50])
    done = batch(*jobs, "--keep-going", "--skip-existing")
    assert done.returncode == 6
    assert "1 frame is missing or changed and made again" in done.stderr
    assert "render.json: not the record of a render" in done.stderr
    assert "c.json: not a JSON file" in done.stderr
    assert {name: results(tmp_path / "out" / name) for name in "abc"} == whole
    assert "Traceback" not in done.stderr


def test_latents_that_are_cut_off_are_denoised_again_to_the_same_bytes(
    tmp_path: Path, write_job
) -> None:
    puppet = {"model": "puppet", "settings": {"steps": 4, "window": 8}}
    clean, job = write_job("clean", **puppet), write_job("job", **puppet)
    assert batch(clean).returncode == 0
    command = [*PROGRAM, "batch", str(job), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=CALM) as running:
        assert running.stdout is not None
        for line in running.stdout:
            event = json.loads(line)
            if event["type"] == "progress" and event["stage"] == "denoise" and event["done"] > 1:
                break
        running.kill()
    latents = tmp_path / "out" / "job" / "state" / "latents.safetensors"
    latents.write_bytes(latents.read_bytes()[: latents.stat().st_size // 2])
    done = batch(job)
    assert done.returncode == 0, done.stderr
    assert "denoising starts over" in done.stderr
    assert results(tmp_path / "out" / "job") == results(tmp_path / "out" / "clean")


def test_a_video_damaged_in_the_middle_is_rendered_frame_for_frame_with_a_warning(
    tmp_path: Path, write_job
) -> None:
    import av
    import numpy as np

    path = tmp_path / "maps.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.options = {"g": "4"}
        for number in range(16):
            picture = np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    path.write_bytes(content)
    damaged = {"path": "maps.mp4", "kind": "posemaps", "palette": "any"}
    jobs = [write_job("damaged", model="puppet", motion=damaged), write_job("other")]
    done = batch(*jobs, "--keep-going")
    assert "Traceback" not in done.stderr
    assert results(tmp_path / "out" / "other")
    frames = results(tmp_path / "out" / "damaged")
    if done.returncode == 0:
        assert sum(name.endswith(".png") for name in frames) == 16
    else:
        assert done.returncode == 6
        assert "error: out/damaged: " in done.stderr


def test_a_read_only_folder_fails_its_own_job_and_is_left_as_it_is(
    tmp_path: Path, write_job
) -> None:
    jobs = [write_job("a"), write_job("closed"), write_job("b")]
    closed = tmp_path / "out" / "closed"
    closed.mkdir(parents=True)
    if os.geteuid() == 0:
        # The administrator may write to any folder, but not to a file system that is read-only.
        mounted = ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "none", str(closed)]
        if subprocess.run(mounted, check=False, capture_output=True).returncode:
            pytest.skip("nothing can be mounted here")
    else:
        closed.chmod(0o500)
    try:
        done = batch(*jobs, "--keep-going")
        assert done.returncode == 6
        assert "cannot be written: " in done.stderr
        assert "Choose an output folder that you may write to" in done.stderr
        assert list(closed.iterdir()) == []
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", str(closed)], check=True)
    assert results(tmp_path / "out" / "a") == results(tmp_path / "out" / "b") != {}


def test_files_that_cannot_grow_at_any_moment_lose_nothing(tmp_path: Path, write_job) -> None:
    clean, job = write_job("clean"), write_job("job")
    assert batch(clean).returncode == 0
    whole = results(tmp_path / "out" / "clean")
    rng = random.Random(5)
    for most in sorted(rng.randrange(200, 9_000) for _ in range(5)):
        done = batch(job, most=most)
        assert done.returncode in (0, 1), done.stderr
        assert "Traceback" not in done.stderr
        if done.returncode:
            assert "disk is full or a limit on file sizes is reached" in done.stderr
    assert batch(job).returncode == 0
    assert results(tmp_path / "out" / "job") == whole


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(place)]
    if (
        shutil.which("mount") is None
        or subprocess.run(mounted, check=False, capture_output=True).returncode
    ):
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_full_at_random_moments_loses_nothing(
    tmp_path: Path, small_disk: Path, write_job
) -> None:
    clean = write_job("clean")
    assert batch(clean).returncode == 0
    whole = results(tmp_path / "out" / "clean")
    job = write_job("job", output={"directory": str(small_disk / "job")})
    rng = random.Random(7)
    ballast = small_disk / "ballast"
    for free in sorted(rng.randrange(4_000, 120_000) for _ in range(4)):
        ballast.unlink(missing_ok=True)
        room = shutil.disk_usage(small_disk).free
        ballast.write_bytes(bytes(max(room - free, 0)))
        done = batch(job, "--allow-outside")
        assert done.returncode in (0, 1), done.stderr
        assert "Traceback" not in done.stderr
        assert done.returncode == 0 or "are missing" in done.stderr or "full" in done.stderr
    ballast.unlink()
    done = batch(job, "--allow-outside")
    assert done.returncode == 0, done.stderr
    assert results(small_disk / "job") == whole
