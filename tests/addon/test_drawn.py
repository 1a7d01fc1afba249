"""The overlay shows the keypoints as a render draws them, in real Blenders."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from marionext.casting import read_picture
from marionext.jobs import RenderJob, read_job
from marionext.pose import PoseTrack
from marionext.posemap import SmallDrawer
from marionext.reporting import Reporter
from marionext.sources import open_motion
from marionext.staging import Staged

pytestmark = pytest.mark.blender


def rendered(job_file: str) -> PoseTrack:
    """Return the keypoints that a render of a job draws."""
    job = read_job(Path(job_file))
    assert isinstance(job, RenderJob)
    quiet = Reporter("", lambda _event: None, lambda: False)
    character = read_picture(Path(job.character))
    return Staged(job, open_motion(job.motion), character, quiet).fitted


def test_the_overlay_shows_what_a_render_draws(inside) -> None:
    found = inside.run("drawn")

    assert found["no character"] == ["no picture of the character is chosen", True]
    assert "no such program" in found["no engine"][0]
    for name in ("linear", "limbs", "inside", "none", "keyed", "edited", "with rays"):
        path, job_file = found[name]
        overlay, wanted = np.load(path), rendered(job_file)
        assert np.allclose(overlay["scores"], wanted.scores, atol=1e-3), name
        seen = wanted.scores > 0
        apart = np.abs(overlay["points"] - wanted.points).max(axis=-1)[seen]
        assert apart.max() < 0.02, name
    elbow, other = found["moved"]
    assert elbow > 5
    assert other < 0.5, "what was not moved stays"

    assert found["order"][0] == ["HIDE", "MOVE", "SMOOTH", "FILE", "MIRROR"]
    assert found["order"][1] == ["HIDE", "MOVE", "SMOOTH", "MIRROR", "FILE"]
    assert "expected one list of edits in request.json, found 0" in found["order"][2]
    edits = read_job(Path(found["edited"][1])).pose.edits  # type: ignore[union-attr]
    assert [edit.kind for edit in edits] == ["hide", "offset", "smooth", "transform", "offset"]
    assert edits[1].by == pytest.approx((128 * 0.08, -192 * 0.05))

    overlay = np.load(found["with rays"][0])
    for place, number in enumerate(range(101, 105)):
        drawn = SmallDrawer((128, 192)).draw(
            overlay["points"][place], overlay["scores"][place], (128, 192)
        )
        (picture,) = Path(found["render"]).rglob(f"posemaps/{number:06d}.png")
        assert np.abs(np.asarray(Image.open(picture)).astype(int) - drawn).mean() < 0.05

    assert found["switches"] == [[True, False], [True, True], [False, False], [True, True]]
    assert found["scenes"] == 1
    assert not [name for name in found["left"] if name == "_updated"]
