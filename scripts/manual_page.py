"""Make a page for browsers of a page of the documentation, so that the add-on brings its manual.

Only what our own pages use of Markdown is known: headings, paragraphs, lists, tables, code,
pictures, links, and lines of HTML, which are kept as they are. Links to pages that are not packed
become plain words.
"""

import html
import re
from collections.abc import Callable, Iterator, Mapping

__all__ = ["page", "pictures"]

_STYLE = """
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif;
  color: #222; background: #fff; }
img { max-width: 100%; } table { border-collapse: collapse; }
td, th { border: 1px solid #ccc; padding: .3rem .6rem; text-align: left; vertical-align: top; }
code, pre { background: #f2f2f2; border-radius: 3px; font-size: .9em; padding: .1em .25em; }
pre { padding: .8rem; overflow-x: auto; } pre code { padding: 0; }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #1d1d1d; } code, pre { background: #2c2c2c; }
  a { color: #8ab4f8; } td, th { border-color: #555; } }
"""
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_CODE = re.compile(r"(`+)(.+?)\1")
_ITEM = re.compile(r"(\*|-|\d+\.) +(.*)")


def pictures(text: str) -> list[str]:
    """Return the paths of the pictures of a page, each once, in order."""
    found = [*_PICTURE.findall(text), *re.findall(r'<img ()src="([^"]+)"', text)]
    return list(dict.fromkeys(path for _, path in found))


def page(text: str, links: Mapping[str, str]) -> str:
    """Return a page in HTML.

    Args:
        text: of the page, in Markdown.
        links: names of the pages that can be linked to, and of their files.
    """
    body = "\n".join(_blocks(text.splitlines(), links))
    found = re.search(r"^# (.+)$", text, re.MULTILINE)
    title = html.escape(found[1] if found else "Marionext")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>Marionext: {title}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _blocks(lines: list[str], links: Mapping[str, str]) -> Iterator[str]:
    place = 0
    while place < len(lines):
        line = lines[place]
        if not line.strip():
            place += 1
        elif heading := re.match(r"(#+) (.+)", line):
            level = len(heading[1])
            yield f'<h{level} id="{_anchor(heading[2])}">{_inline(heading[2], links)}</h{level}>'
            place += 1
        elif line.startswith("```"):
            stop = next(n for n in range(place + 1, len(lines)) if lines[n].startswith("```"))
            yield _code(lines[place + 1 : stop])
            place = stop + 1
        elif line.startswith("    "):
            stop = _run(lines, place, lambda text: text.startswith("    ") or not text.strip())
            yield _code([each[4:] for each in lines[place:stop]])
            place = stop
        elif line.startswith("|"):
            stop = _run(lines, place, lambda text: text.startswith("|"))
            yield _table(lines[place:stop], links)
            place = stop
        elif line.startswith("<"):
            yield line
            place += 1
        elif _ITEM.match(line):
            stop = _run(lines, place, lambda text: text.startswith(" ") or bool(_ITEM.match(text)))
            yield _list(lines[place:stop], links)
            place = stop
        else:
            stop = _run(lines, place, lambda text: bool(text.strip()) and text[0] not in "|#<")
            yield f"<p>{_inline(' '.join(lines[place:stop]), links)}</p>"
            place = stop


def _run(lines: list[str], start: int, goes_on: Callable[[str], bool]) -> int:
    """Return the first place after ``start`` whose line is not of the same kind."""
    rest = range(start + 1, len(lines))
    return next((place for place in rest if not goes_on(lines[place])), len(lines))


def _code(lines: list[str]) -> str:
    text = html.escape("\n".join(lines).rstrip())
    return f"<pre><code>{text}</code></pre>"


def _list(lines: list[str], links: Mapping[str, str]) -> str:
    items: list[str] = []
    for line in lines:
        found = _ITEM.match(line)
        if found:
            items.append(found[2])
        else:
            items[-1] += f" {line.strip()}"
    kind = "ol" if lines[0][0].isdigit() else "ul"
    inner = "\n".join(f"<li>{_inline(item, links)}</li>" for item in items)
    return f"<{kind}>\n{inner}\n</{kind}>"


def _table(lines: list[str], links: Mapping[str, str]) -> str:
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    made = []
    for number, cells in enumerate(rows):
        if number == 1 and all(set(cell) <= {"-", ":"} for cell in cells):
            continue
        if number == 0 and not any(cells):
            continue
        tag = "th" if number == 0 else "td"
        made.append("".join(f"<{tag}>{_inline(cell, links)}</{tag}>" for cell in cells))
    inner = "\n".join(f"<tr>{row}</tr>" for row in made)
    return f"<table>\n{inner}\n</table>"


def _inline(text: str, links: Mapping[str, str]) -> str:
    """Return a text with code, pictures, links and stress in HTML."""
    kept: list[str] = []

    def keep(made: str) -> str:
        kept.append(made)
        return f"\0{len(kept) - 1}\0"

    def linked(found: re.Match[str]) -> str:
        name, _, part = found[2].partition("#")
        target = links.get(name) if name else ""
        if target is None:
            return found[1]
        address = target + (f"#{part}" if part else "")
        return keep(f'<a href="{html.escape(address)}">') + found[1] + keep("</a>")

    text = _CODE.sub(lambda found: keep(f"<code>{html.escape(found[2])}</code>"), text)
    text = _PICTURE.sub(
        lambda found: keep(f'<img src="{html.escape(found[2])}" alt="{html.escape(found[1])}">'),
        text,
    )
    text = html.escape(_LINK.sub(linked, text), quote=False)
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text)
    text = re.sub(r"(?<!\*)\*(?!\*)(.+?)\*", r"<em>\1</em>", text)
    while "\0" in text:
        text = re.sub("\0(\\d+)\0", lambda found: kept[int(found[1])], text)
    return text


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")
