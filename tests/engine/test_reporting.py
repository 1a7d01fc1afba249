import pytest

from marionext.protocol import Event, Progress
from marionext.reporting import Reporter


def test_time_left_is_told_from_denoising_on(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    clock = iter(range(1000))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    reporter = Reporter("1", events.append, lambda: False)
    for stage in ("poses", "denoise", "decode"):
        for done in range(4):
            reporter.progress(stage, done, 10)
    told = {
        stage: [event.seconds_left for event in events if event.stage == stage][-1]
        for stage in ("poses", "denoise", "decode")
        if isinstance(events[0], Progress)
    }
    # A unit takes a second: 7 are left of the stage, and what later stages take besides.
    assert told["poses"] is None
    assert told["denoise"] is not None
    assert told["decode"] is not None
    assert 7 < told["decode"] < told["denoise"] < 14
