"""A report as one HTML file that opens anywhere, without a network: figures, tables and pictures are inside it.

The plotting library (4.8 MB) is included once, and only if there is a figure. A content-security policy forbids the
page to load anything from elsewhere, so the browser enforces that the page is self-contained.
"""

import base64
import html
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from infomax.errors import DataError, reason
from infomax.files import written_whole
from infomax.report import markdown

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_PNG = b"\x89PNG\r\n\x1a\n"


class Page:
    """Collect sections, then write them as one file; every method but `write` and `html` returns the page itself.

    Args:
        title: the page's heading and the browser's title.
        lead: one sentence below it (markdown).

    Example:
        >>> page = Page("Digits").section("Accuracy").text("The probe chooses its own *penalty*.")
        >>> page = page.table([{"method": "JMI", "probe": 0.974}, {"method": "raw pixels", "probe": 0.951}])
        >>> "<h1>Digits</h1>" in page.html(), len(page.html()) < 50_000  # without a figure no library
        (True, True)
    """

    def __init__(self, title: str, lead: str = "") -> None:
        self.title = title
        self._lead = lead
        self._body: list[str] = []
        self._sections: list[tuple[str, str]] = []
        self._figures: list[str] = []
        self._widgets: list[str] = []
        self._styles: list[str] = []
        self._scripts_used: list[str] = []
        self._captions = 0

    def section(self, heading: str) -> Self:
        """Start a section; pages with three or more get a table of contents."""
        slug = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-") or "section"
        taken = {anchor for anchor, _ in self._sections}
        anchor = slug if slug not in taken else f"{slug}-{len(taken) + 1}"
        self._sections.append((anchor, heading))
        self._body.append(f'<h2 id="{anchor}">{markdown.inline(heading)}</h2>')
        return self

    def text(self, text: str) -> Self:
        """Add prose, in the small markdown of `infomax.report.markdown`."""
        self._body.append(markdown.to_html(text))
        return self

    @property
    def body(self) -> tuple[str, ...]:
        """The blocks so far."""
        return tuple(self._body)

    def insert(self, place: int, text: str) -> Self:
        """Add prose before the block at a given position of `body`."""
        self._body.insert(place, f'<aside class="missing">{markdown.to_html(text)}</aside>')
        return self

    def figure(self, figure: "Figure", caption: str = "") -> Self:
        """Add an interactive plotly figure; it takes the page's width and its light or dark colours.

        Args:
            figure: its height is kept, its width is not. `figure.layout.meta = {"min_width": 900}` sets a minimum width
                in pixels: on a narrower screen the figure is scrolled sideways instead of squeezed.
            caption: markdown.
        """
        number = len(self._figures)
        self._figures.append(_inert(figure.to_json()))
        meta = figure.layout.meta
        min_width = int(meta["min_width"]) if isinstance(meta, Mapping) and "min_width" in meta else 0
        height = int(figure.layout.height or 450)
        plot = f'<div class="plot" id="plot-{number}" style="height:{height}px;min-width:{min_width}px"></div>'
        return self._captioned(f'<div class="wide">{plot}</div>', caption or f"Figure {number + 1}")

    def table(self, rows: Sequence[Mapping[str, object]], caption: str = "", *, folded: str = "") -> Self:
        """Add a table.

        Args:
            rows: one mapping per row; columns in the order in which they first occur. Numbers are shown with four
                significant digits and aligned; None and NaN appear as a dash. The first column names the row.
            caption: markdown.
            folded: a line (markdown) in place of the table, which opens by a click on it; by default the table stands open.

        Raises:
            DataError: there are no rows.
        """
        if not rows:
            raise DataError(f"page {self.title!r}: a table needs at least one row (caption: {caption!r})")
        columns = list(dict.fromkeys(key for row in rows for key in row))
        numeric = {
            c
            for c in columns
            if all(_is_number(row.get(c)) for row in rows) and any(row.get(c) is not None for row in rows)
        }

        def cell(row: Mapping[str, object], column: str) -> str:
            tag = 'th scope="row"' if column == columns[0] else "td"
            side = ' class="number"' if column in numeric else ""
            return f"<{tag}{side}>{_shown(row.get(column))}</{tag.split()[0]}>"

        head = "".join(
            f'<th scope="col"{" class=number" if c in numeric else ""}>{markdown.inline(c)}</th>' for c in columns
        )
        body = "\n".join("<tr>" + "".join(cell(row, c) for c in columns) + "</tr>" for row in rows)
        table = f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"
        content = f'<div class="wide">{table}</div>'
        if folded:
            content = f"<details><summary>{markdown.inline(folded)}</summary>{content}</details>"
        return self._captioned(content, caption)

    def image(self, png: bytes, caption: str = "", *, alt: str = "") -> Self:
        """Add a picture.

        Args:
            png: the bytes of a PNG file.
            caption: markdown.
            alt: alternative text, for people who cannot see the picture; by default the caption.

        Raises:
            DataError: the bytes are not a PNG.
        """
        if not png.startswith(_PNG):
            raise DataError(f"page {self.title!r}: the image is no PNG; it begins with {png[:8]!r}")
        source = base64.b64encode(png).decode("ascii")
        alternative = html.escape(alt or caption or "picture", quote=True)
        return self._captioned(f'<img alt="{alternative}" src="data:image/png;base64,{source}">', caption)

    def block(self, content: str, caption: str = "", *, style: str = "") -> Self:
        """Add HTML that was generated, and escaped, elsewhere.

        Args:
            content: well-formed HTML.
            caption: markdown; without one the content is added as it is.
            style: CSS, put into the page's head once.
        """
        if style and style not in self._styles:
            self._styles.append(style)
        if caption:
            return self._captioned(content, caption)
        self._body.append(content)
        return self

    def widget(self, kind: str, data: Mapping[str, Any], content: str, caption: str = "") -> Self:
        """Add a widget that its own script runs, with the plotting library available.

        Args:
            kind: name of the script and the style sheet among this package's assets.
            data: its data, serialisable as JSON; the script must set text in it as text, never as HTML.
            content: HTML that it draws into.
            caption: markdown.
        """
        number = len(self._widgets)
        self._widgets.append(_inert(json.dumps(data, allow_nan=False, separators=(",", ":"))))
        if kind not in self._scripts_used:
            self._scripts_used.append(kind)
            self._styles.append(asset(f"{kind}.css"))
        return self._captioned(f'<div class="{kind}" data-numbers="widget-{number}">{content}</div>', caption)

    def html(self) -> str:
        """Return the page as text."""
        contents = ""
        if len(self._sections) >= 3:
            links = "".join(f'<li><a href="#{a}">{markdown.inline(h)}</a></li>' for a, h in self._sections)
            contents = f'<nav aria-label="Contents"><ul>{links}</ul></nav>'
        lead = f'<p class="lead">{markdown.inline(self._lead)}</p>' if self._lead else ""
        title = html.escape(self.title)
        return "\n".join(
            [
                f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{_GENERATOR}',
                f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                '<meta name="color-scheme" content="light dark">',
                f"<title>{title}</title>",
                *(f"<style>{style}</style>" for style in [asset("page.css"), *self._styles]),
                "</head>\n<body>\n<main>",
                f"<header><h1>{title}</h1>{lead}</header>{contents}",
                *self._body,
                "</main>",
                self._scripts(),
                "</body>\n</html>\n",
            ]
        )

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the page completely or not at all; it replaces an earlier page of this package, but no other file.

        Args:
            path: the file; missing folders are created.

        Returns:
            The path.

        Raises:
            DataError: the path is a folder or a file that is not a page of this package, or it cannot be written.
        """
        path = Path(path)
        if path.is_dir():
            raise DataError(
                f"cannot write a page to {path}: it is a folder; name a file in it, such as {path / 'index.html'}"
            )
        if path.exists() and not is_page(path):
            raise DataError(f"{path} exists and is no page of infomax: nothing is overwritten; name another file")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with written_whole(path, durable=True) as file:
                file.write(self.html().encode())
        except OSError as error:
            raise DataError(f"cannot write {path}: {reason(error)}") from error
        return path

    def _captioned(self, content: str, caption: str) -> Self:
        if caption:
            self._captions += 1
            label = f"caption-{self._captions}"
            content = (
                f'<figure aria-labelledby="{label}">{content}'
                f'<figcaption id="{label}">{markdown.inline(caption)}</figcaption></figure>'
            )
        else:
            content = f"<figure>{content}</figure>"
        self._body.append(content)
        return self

    def _scripts(self) -> str:
        if not self._figures and not self._widgets:
            return ""
        from plotly.offline import get_plotlyjs

        library = get_plotlyjs().replace("</script", "<\\/script")
        numbers = [(f"data-{k}", figure) for k, figure in enumerate(self._figures)]
        numbers += [(f"widget-{k}", widget) for k, widget in enumerate(self._widgets)]
        data = "\n".join(f'<script type="application/json" id="{name}">{text}</script>' for name, text in numbers)
        own = "\n".join(f"<script>{asset(f'{name}.js')}</script>" for name in ("page", *self._scripts_used))
        return (
            "<noscript><p>The figures of this page are drawn by JavaScript, which is off.</p></noscript>\n"
            f"<script>{library}</script>\n{data}\n{own}"
        )


def asset(name: str) -> str:
    """A style sheet or script that this package brings."""
    return (resources.files("infomax.report") / "assets" / name).read_text(encoding="utf-8")


def _inert(text: str) -> str:
    """JSON as it stands in a script element, which "</" would end and "<!--" derail."""
    return text.replace("<", "\\u003c")


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool)) or hasattr(value, "item")


def _shown(value: object) -> str:
    if hasattr(value, "item"):
        value = value.item()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "\N{EN DASH}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:z#.4g}".rstrip(".") if 1e-4 <= abs(value) < 1e6 or value == 0 else f"{value:.3g}"
    return markdown.inline(_SPREAD.sub("±\N{NO-BREAK SPACE}", str(value)))


_SPREAD = re.compile(r"± (?=[0-9?])")  # in a narrow column a value and its spread are two lines, and not three

_GENERATOR = '<meta name="generator" content="infomax">'


def is_page(path: Path) -> bool:
    """Whether a file is a page of this package, which another may replace.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "mine.html").write_text("<h1>Mine</h1>") and None
        ...     is_page(Page("Digits").write(Path(folder) / "ours.html")), is_page(Path(folder) / "mine.html")
        (True, False)
    """
    with path.open("rb") as file:
        return _GENERATOR.encode() in file.read(2000)


_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)
