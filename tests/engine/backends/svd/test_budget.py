import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marionext.backends.svd.budget import estimate, plan, what_would_fit
from marionext.backends.svd.shape import BundleShape, read_shape
from marionext.diffusion.ladder import GIB, RUNGS
from marionext.errors import ModelError
from marionext.settings import SvdSettings

SVD = BundleShape()


def test_the_real_model_needs_what_was_measured() -> None:
    needs = estimate(SVD, SvdSettings(), 120).device_bytes
    gib = {name: need / GIB for name, need in needs.items()}
    assert 8 < gib["resident"] < 24
    assert 6.4 < gib["lean"] < 8
    assert 4.8 < gib["chunked"] < 6
    assert gib["streamed"] < 4


@given(frames=st.integers(1, 5000))
def test_device_memory_does_not_grow_with_the_clip_and_the_hosts_does_slowly(frames: int) -> None:
    settings = SvdSettings()
    found = estimate(SVD, settings, frames)
    assert (
        found.device_bytes == estimate(SVD, settings, max(frames, 23)).device_bytes or frames < 23
    )
    assert found.host_bytes <= (frames + 1) * 300_000


def test_each_rung_needs_less_than_the_one_above() -> None:
    needs = estimate(SVD, SvdSettings(), 50).device_bytes
    assert [needs[rung.name] for rung in RUNGS] == sorted(needs.values(), reverse=True)


def test_work_counts_windows_steps_and_halves() -> None:
    settings = SvdSettings(steps=10)
    found = estimate(SVD, settings, 240)
    assert found.evaluations == sum(len(plan(settings, 240, step)) for step in range(10)) * 2
    uneven = replace(settings, steps=5)
    counted = sum(len(plan(uneven, 240, step)) for step in range(5)) * 2
    assert estimate(SVD, uneven, 240).evaluations == counted
    single = estimate(SVD, replace(settings, guidance_min=1, guidance_max=1), 240)
    assert single.evaluations * 2 == found.evaluations
    one = estimate(SVD, SvdSettings(steps=1), 23).operations
    assert one == pytest.approx(153.5e12 + 5.47e12 + 23 * 6.94e12, rel=0.02)


def test_advice_fits() -> None:
    assert what_would_fit(SVD, SvdSettings(), 1) is None
    advice = what_would_fit(SVD, SvdSettings(), 2 * GIB)
    assert advice is not None
    assert "fits" in advice


def test_a_bundles_shape_is_read_from_its_files(bundle: Path) -> None:
    shape = read_shape(bundle)
    assert (shape.unet_width, shape.vae_width, shape.control_width) == (32, 32, 16)
    assert (shape.latent_channels, shape.latent_factor) == (4, 4)
    assert 100_000 < shape.unet_parameters < 3_000_000


def test_a_folder_that_is_no_bundle_is_told(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="missing"):
        read_shape(tmp_path / "nothing")
    (bundle / "vae" / "config.json").write_text(json.dumps({"sample_size": 3}))
    with pytest.raises(ModelError, match="not that of a video model"):
        read_shape(bundle)
    (bundle / "vae" / "config.json").write_text("[]")
    with pytest.raises(ModelError, match="expected an object"):
        read_shape(bundle)


def test_planning_needs_no_torch() -> None:
    script = (
        "import sys; from marionext.backends.svd import estimate, read_shape; "
        "from marionext.diffusion import plan_windows; "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
