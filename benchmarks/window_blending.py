"""Which way of joining windows shows least: the same clips, rendered with each.

    python benchmarks/window_blending.py [--clips 10] [--frames 20] [--json FILE]

Uniform averaging, cross-faded weights and shifted windows, on the puppet, with seams as
``seams.py`` measures them. What decides is ``seam_error``, then the PSNR; evaluations of the UNet
tell the cost.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from clip_measures import FIRST_SEED
from puppet_quality import measure_clip
from seams import Seams

from marionext import presets
from marionext.backends import svd
from marionext.backends.svd.budget import plan
from marionext.settings import SvdSettings

WAYS = (("uniform", 2), ("crossfade", 2), ("shifted", 2), ("crossfade", 3), ("shifted", 1))
"""How shared frames are weighed, and the overlap."""


def main() -> int:
    """Measure each way, print a table."""
    parser = argparse.ArgumentParser(description="Compare ways of joining windows.")
    parser.add_argument("--bundle", type=Path, default=presets.folder("puppet"))
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    base = SvdSettings(
        width=128,
        height=192,
        steps=6,
        window=8,
        overlap=2,
        guidance_min=1.0,
        guidance_max=1.0,
        decode_chunk=1,
    )
    models = svd.load_models(options.bundle)
    rows = []
    print("blend      overlap  seam_seen  seam_error  PSNR dB  frames denoised / step")
    for blend, overlap in WAYS:
        settings = replace(base, blend=blend, overlap=overlap)
        seams, psnr = Seams(), []
        for number in range(options.clips):
            score, own, _ = measure_clip(models, FIRST_SEED + number, options.frames, settings)
            seams.extend(own)
            psnr.append(score.measures.psnr)
        places = [
            sum(len(window.frames) for window in plan(settings, options.frames, step))
            for step in range(settings.steps)
        ]
        row = {
            "blend": blend,
            "overlap": overlap,
            "seam_seen": round(seams.seen, 3),
            "seam_error": round(seams.error, 3),
            "psnr_db": round(float(np.mean(psnr)), 2),
            "frames_per_step": round(float(np.mean(places)), 1),
        }
        rows.append(row)
        print("  ".join(f"{value!s:>9}" for value in row.values()), flush=True)
    if options.json:
        record = {"clips": options.clips, "frames": options.frames, "torch": torch.__version__}
        options.json.write_text(json.dumps({**record, "rows": rows}, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
