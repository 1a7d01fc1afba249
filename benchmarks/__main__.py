"""Measure everything in one go: ``python benchmarks [--json DIR] [--video DANCE.mp4]``.

Each benchmark is a script of its own with a table on stdout and, with ``--json``, its figures in a
file. They run one after another, so that none disturbs the next. The exit status is that of the
worst: pose drawing, capture, recording in Blender, live poses, the queue and batches have targets
and end with 1 when they miss them.
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = (
    "pose_drawing",
    "capture",
    "denoise",
    "puppet_quality",
    "window_blending",
    "blender_recording",
    "live_pose",
    "job_queue",
    "batch_workers",
)
"""All but `controlnext_claims`, which trains for an hour and goes by itself."""
BLENDER = HERE.parent / ".blenders" / "bpy-4.5" / "bin" / "python"


def main() -> int:
    """Run the benchmarks; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python benchmarks", description="Measure everything.")
    parser.add_argument("--json", type=Path, help="folder for the figures")
    parser.add_argument("--video", type=Path, help="a dance video to measure capture on")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS)
    options = parser.parse_args()
    worst = 0
    for name in options.only or BENCHMARKS:
        in_blender = name == "blender_recording"
        if in_blender and not BLENDER.is_file():
            print(f"\n== {name}: skipped, 'bootstrap.py test' installs the bpy module", flush=True)
            continue
        command = [str(BLENDER) if in_blender else sys.executable, str(HERE / f"{name}.py")]
        if name == "capture" and options.video is not None:
            command.append(str(options.video))
        if options.json is not None:
            options.json.mkdir(parents=True, exist_ok=True)
            command += ["--json", str(options.json / f"{name}.json")]
        print(f"\n== {name}", flush=True)
        worst = max(worst, subprocess.run(command, check=False).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
