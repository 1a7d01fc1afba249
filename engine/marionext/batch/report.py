"""The report of a batch: one HTML file that needs no network and runs no code."""

import base64
import datetime
import html
from collections.abc import Mapping, Sequence
from pathlib import Path

import marionext
from marionext.batch.figures import Figures
from marionext.batch.running import Row
from marionext.files import read_bytes, write_text

__all__ = ["free_report_path", "write_report"]

_MARK = '<meta name="generator" content="marionext batch">'
"""By this a report of ours is told from a file of the user's."""
_HEAD = 4096
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
  color: #1b1d21; background: #fff; }
h1 { font-size: 1.4rem; } code { background: #f0f1f4; padding: .15em .35em; border-radius: 3px; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; color: #555; }
th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid #d9dce2;
  vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } img { display: block; }
td img { max-height: 96px; width: auto; } details img { max-width: 100%; max-height: none; }
.failed { color: #a4161a; font-weight: 600; } .stopped { color: #8a5a00; }
.done, .there { color: #1c6b33; } small { color: #555; }
@media (prefers-color-scheme: dark) { body { color: #e6e7ea; background: #17181b; }
  code { background: #2a2c31; } th, td { border-color: #3a3d44; } small, caption { color: #a3a7b0; }
  .failed { color: #ff8b8b; } .stopped { color: #f0c060; } .done, .there { color: #7fd69a; } }
"""
_WORDS = {
    "done": "done",
    "there": "was there",
    "failed": "failed",
    "stopped": "stopped",
    "working": "at work",
    "waiting": "waiting",
}


def free_report_path(wanted: Path) -> Path:
    """Return where a report may be written: never over a file that is no report of ours."""
    path, number = wanted, 1
    while path.exists() and not _is_ours(path):
        number += 1
        path = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
    return path


def _is_ours(path: Path) -> bool:
    try:
        return path.is_file() and _MARK.encode() in read_bytes(path)[:_HEAD]
    except OSError:
        return False


def write_report(
    path: Path, rows: Sequence[Row], figures: Mapping[str, Figures], *, command: str
) -> None:
    """Write the report.

    Args:
        path: as `free_report_path` gives it.
        rows: of the batch.
        figures: of the shots that were measured, by name.
        command: what goes on with what is left.

    Raises:
        OutputError: it cannot be written.
    """
    counts = {state: sum(row.state == state for row in rows) for state in _WORDS}
    told = ", ".join(f"{count} {_WORDS[state]}" for state, count in counts.items() if count)
    when = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z")
    left = counts["failed"] + counts["stopped"] + counts["waiting"] + counts["working"]
    going_on = f"<p>Go on with <code>{_text(command)}</code></p>" if left else ""
    body = "\n".join(_row(row, figures.get(row.name)) for row in rows)
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{_MARK}
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Batch: {_text(told)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{_text(told) or "nothing to do"}</h1>
<p><small>{when}, Marionext {_text(marionext.__version__)}</small></p>
{_failures(rows)}
{going_on}
<table>
<caption>Sharpness and flicker are of 255; a seam of 1 cannot be seen; pose match is the share of
body joints that a detector finds where they were wanted. Compare shots of one character and
size.</caption>
<thead><tr><th></th><th>shot</th><th>state</th><th class="n">frames</th><th class="n">time</th>
<th class="n">sharpness</th><th class="n">flicker</th><th class="n">seam</th>
<th class="n">pose match</th></tr></thead>
<tbody>
{body}
</tbody>
</table>
</body>
</html>
"""
    write_text(path, text)


def _failures(rows: Sequence[Row]) -> str:
    failed = [row for row in rows if row.state == "failed"]
    if not failed:
        return ""
    items = "\n".join(
        f"<li><b>{_text(row.name)}</b>: {_text(row.text)}"
        + (f"<br><small>{_text(row.hint)}</small>" if row.hint else "")
        + "</li>"
        for row in failed
    )
    return f'<h2 class="failed">Failed</h2>\n<ul>\n{items}\n</ul>'


def _row(row: Row, figures: Figures | None) -> str:
    shown = [_text(row.name)]
    if row.directory is not None:
        shown.append(f"<br><small>{_text(row.directory)}</small>")
    if row.attempts > 1:
        shown.append(f"<br><small>{row.attempts} tries</small>")
    shown += [f"<br><small>{_text(said)}</small>" for said in row.warnings[:5]]
    cells = ["-"] * 4
    thumbnail = ""
    if figures is not None:
        thumbnail = _image(figures.thumbnail, f"a frame of {row.name}")
        cells = [
            _number(figures.sharpness, ".1f"),
            _number(figures.flicker, ".2f"),
            _number(figures.seam, ".2f"),
            _number(figures.pose_match, ".0%"),
        ]
        sheet = _image(figures.contact_sheet, f"frames of {row.name}")
        shown.append(f"<details><summary>contact sheet</summary>{sheet}</details>")
    numbers = "".join(f'<td class="n">{cell}</td>' for cell in cells)
    time = f"{row.seconds:.1f} s" if row.seconds else "-"
    return (
        f"<tr><td>{thumbnail}</td><td>{''.join(shown)}</td>"
        f'<td class="{row.state}">{_WORDS[row.state]}</td>'
        f'<td class="n">{row.frames or "-"}</td><td class="n">{time}</td>{numbers}</tr>'
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _image(jpeg: bytes, what: str) -> str:
    data = base64.b64encode(jpeg).decode("ascii")
    return f'<img alt="{_text(what)}" src="data:image/jpeg;base64,{data}">'


def _text(value: object) -> str:
    # Names of files that are no text in UTF-8 cannot be in a page.
    return html.escape(str(value).encode("utf-8", "replace").decode("utf-8"))
