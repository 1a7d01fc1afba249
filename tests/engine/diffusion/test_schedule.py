from itertools import pairwise
from typing import Any

import pytest
import torch

from marionext.diffusion.schedule import AYS_SIGMAS, euler_step, make_schedule, network_input
from marionext.errors import ModelError

SCHEDULER: dict[str, Any] = {
    "prediction_type": "v_prediction",
    "timestep_type": "continuous",
    "sigma_min": 0.002,
    "sigma_max": 700.0,
    "use_karras_sigmas": True,
    "timestep_spacing": "leading",
    "steps_offset": 1,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}


@pytest.fixture
def scheduler() -> dict[str, Any]:
    """SVD's own."""
    return dict(SCHEDULER)


@pytest.mark.parametrize("kind", ["karras", "ays"])
@pytest.mark.parametrize("steps", [1, 2, 4, 10, 25])
def test_levels_fall_from_the_highest_to_nothing(
    scheduler: dict[str, Any], kind: str, steps: int
) -> None:
    schedule = make_schedule(scheduler, steps, kind)
    assert len(schedule.sigmas) == steps + 1
    assert schedule.steps == steps
    assert schedule.sigmas[0] == pytest.approx(700)
    assert schedule.sigmas[-1] == 0
    assert all(a > b for a, b in pairwise(schedule.sigmas))
    assert schedule.initial == pytest.approx(700, rel=1e-3)


def test_ten_aligned_steps_are_the_published_ones(scheduler: dict[str, Any]) -> None:
    schedule = make_schedule(scheduler, 10, "ays")
    assert schedule.sigmas[:-1] == pytest.approx(AYS_SIGMAS)


def test_a_bundle_with_less_noise_starts_its_aligned_steps_there(scheduler: dict[str, Any]) -> None:
    schedule = make_schedule({**scheduler, "sigma_max": 80.0}, 8, "ays")
    assert schedule.sigmas[0] == pytest.approx(80)


def test_a_scheduler_of_another_kind_is_refused(scheduler: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="v_prediction"):
        make_schedule({**scheduler, "prediction_type": "epsilon"}, 4)


def test_a_right_prediction_leads_straight_to_the_picture(scheduler: dict[str, Any]) -> None:
    clean = torch.randn(1, 4, 8, 8)
    schedule = make_schedule(scheduler, 5)
    sample = clean + schedule.sigmas[0] * torch.randn_like(clean)
    for sigma, following in pairwise(schedule.sigmas):
        level = torch.tensor(sigma)
        v = (sample / (level**2 + 1) - clean) * (level**2 + 1) ** 0.5 / level
        sample = euler_step(sample, v, sigma, following)
    assert torch.allclose(sample, clean, atol=1e-3)
    assert network_input(700 * torch.randn(1, 4, 64, 64), 700.0).std() == pytest.approx(1, 0.05)
