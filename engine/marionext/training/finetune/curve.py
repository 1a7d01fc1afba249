"""Draw the curve of a training: what was measured over the steps, as a picture."""

import csv
import importlib.util
import io
from pathlib import Path

from marionext.files import write_bytes

__all__ = ["draw_curve"]

_LINES = (
    ("loss", "training loss", "0.75"),
    ("validation", "held-out clips, their own control", "#1f77b4"),
    ("wrong", "held-out clips, another control", "#d62728"),
)


def draw_curve(table: Path, picture: Path) -> bool:
    """Draw a training's CSV table as PNG; False where matplotlib is not installed.

    Raises:
        OutputError: the picture cannot be written.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra
    from matplotlib.figure import Figure  # noqa: PLC0415

    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    # Not pyplot, which would look for a display and keep figures open.
    figure = Figure(figsize=(7, 4), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    steps = [int(row["step"]) for row in rows]
    for column, label, colour in _LINES:
        axes.plot(steps, [float(row[column]) for row in rows], color=colour, label=label)
    axes.set_xlabel("steps")
    axes.set_ylabel("weighted error of the clean latents")
    if any(float(row["loss"]) > 0 for row in rows):
        axes.set_yscale("log")
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend()
    content = io.BytesIO()
    FigureCanvasAgg(figure).print_png(content)
    write_bytes(picture, content.getvalue())
    return True
