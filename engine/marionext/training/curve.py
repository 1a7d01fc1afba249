"""Draw the curve of a training: what was measured over the steps, as a picture."""

import csv
import importlib.util
import io
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path

from marionext.files import write_bytes

__all__ = ["draw_curve"]

_COLOURS = ("0.75", "#1f77b4", "#d62728")


def draw_curve(table: Path, picture: Path, lines: Mapping[str, str], unit: str) -> bool:
    """Draw a training's CSV table as PNG; False where matplotlib is not installed.

    Args:
        table: that `marionext.training.checkpoints.Curve` wrote.
        picture: the PNG.
        lines: what is drawn: columns of the table and what they are called.
        unit: what they count.

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
    for (column, label), colour in zip(lines.items(), cycle(_COLOURS), strict=False):
        axes.plot(steps, [float(row[column]) for row in rows], color=colour, label=label)
    axes.set_xlabel("steps")
    axes.set_ylabel(unit)
    if any(float(row["loss"]) > 0 for row in rows):
        axes.set_yscale("log")
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend()
    content = io.BytesIO()
    FigureCanvasAgg(figure).print_png(content)
    write_bytes(picture, content.getvalue())
    return True
