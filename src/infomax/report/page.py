"""A report as one HTML file that opens anywhere, without a network: figures, tables and pictures are inside it.

The plotting library (4.8 MB) goes in once, and only if there is a figure. A content-security policy forbids the page
to load anything from elsewhere, so that "self-contained" is enforced by the browser rather than promised.
"""

import base64
import html
import math
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from infomax.errors import DataError
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
        >>> "<h1>Digits</h1>" in page.html(), "plotly" in page.html()
        (True, False)
    """

    def __init__(self, title: str, lead: str = "") -> None:
        self.title = title
        self._lead = lead
        self._body: list[str] = []
        self._sections: list[tuple[str, str]] = []
        self._figures: list[str] = []
        self._captions = 0

    def section(self, heading: str) -> Self:
        """Start a section; pages of three or more get a table of contents."""
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

    def figure(self, figure: "Figure", caption: str = "") -> Self:
        """Add an interactive plotly figure; it takes the page's width and its light or dark colours.

        Args:
            figure: its height is kept, its width is not. `figure.layout.meta = {"min_width": 900}` asks for at least so
                many pixels: on a narrower screen the figure is scrolled sideways instead of squeezed.
            caption: markdown.
        """
        number = len(self._figures)
        # "</" would end the script element that carries the numbers.
        self._figures.append(figure.to_json().replace("</", "<\\/"))
        meta = figure.layout.meta
        min_width = int(meta["min_width"]) if isinstance(meta, Mapping) and "min_width" in meta else 0
        height = int(figure.layout.height or 450)
        plot = f'<div class="plot" id="plot-{number}" style="height:{height}px;min-width:{min_width}px"></div>'
        return self._captioned(f'<div class="wide">{plot}</div>', caption or f"Figure {number + 1}")

    def table(self, rows: Sequence[Mapping[str, object]], caption: str = "") -> Self:
        """Add a table.

        Args:
            rows: one mapping a row; columns in the order in which they first occur. Numbers are set to four significant
                digits and aligned; None and NaN appear as a dash. The first column names the row.
            caption: markdown.

        Raises:
            DataError: there are no rows.
        """
        if not rows:
            raise DataError(f"page {self.title!r}: a table needs at least one row (caption: {caption!r})")
        columns = list(dict.fromkeys(key for row in rows for key in row))
        numeric = {c for c in columns if all(_is_number(row.get(c)) for row in rows)}

        def cell(row: Mapping[str, object], column: str) -> str:
            tag = 'th scope="row"' if column == columns[0] else "td"
            side = ' class="number"' if column in numeric else ""
            return f"<{tag}{side}>{_shown(row.get(column))}</{tag.split()[0]}>"

        head = "".join(
            f'<th scope="col"{" class=number" if c in numeric else ""}>{markdown.inline(c)}</th>' for c in columns
        )
        body = "\n".join("<tr>" + "".join(cell(row, c) for c in columns) + "</tr>" for row in rows)
        table = f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"
        return self._captioned(f'<div class="wide">{table}</div>', caption)

    def image(self, png: bytes, caption: str = "", *, alt: str = "") -> Self:
        """Add a picture.

        Args:
            png: the bytes of a PNG file.
            caption: markdown.
            alt: what the picture shows, for who cannot see it; by default the caption.

        Raises:
            DataError: the bytes are no PNG.
        """
        if not png.startswith(_PNG):
            raise DataError(f"page {self.title!r}: the image is no PNG; it begins with {png[:8]!r}")
        source = base64.b64encode(png).decode("ascii")
        alternative = html.escape(alt or caption or "picture", quote=True)
        return self._captioned(f'<img alt="{alternative}" src="data:image/png;base64,{source}">', caption)

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
                f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>",
                f"<header><h1>{title}</h1>{lead}</header>{contents}",
                *self._body,
                "</main>",
                self._scripts(),
                "</body>\n</html>\n",
            ]
        )

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the page whole or not at all, replacing an earlier page of this package and nothing else.

        Args:
            path: the file; missing folders are made.

        Returns:
            The path.

        Raises:
            DataError: the path is a folder, or a file that is no page of this package.
        """
        path = Path(path)
        if path.is_dir():
            raise DataError(
                f"cannot write a page to {path}: it is a folder; name a file in it, such as {path / 'index.html'}"
            )
        if path.exists() and _GENERATOR.encode() not in path.read_bytes()[:2000]:
            raise DataError(f"{path} exists and is no page of infomax: nothing is overwritten; name another file")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(self.html())
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)  # mkstemp's own 0600 would keep a web server from showing it
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
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
        if not self._figures:
            return ""
        from plotly.offline import get_plotlyjs

        library = get_plotlyjs().replace("</script", "<\\/script")
        data = "\n".join(
            f'<script type="application/json" id="data-{k}">{figure}</script>' for k, figure in enumerate(self._figures)
        )
        return (
            "<noscript><p>The figures of this page are drawn by JavaScript, which is off.</p></noscript>\n"
            f"<script>{library}</script>\n{data}\n<script>{_DRAW}</script>"
        )


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
        return f"{value:#.4g}".rstrip(".") if 1e-4 <= abs(value) < 1e6 or value == 0 else f"{value:.3g}"
    return markdown.inline(str(value))


_GENERATOR = '<meta name="generator" content="infomax">'

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)

_STYLE = """
:root { --ink: #1f2933; --soft: #5b6773; --line: #dfe4ea; --paper: #ffffff; --tint: #f5f7f9; --link: #0b5fa5; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dfe5ec; --soft: #9aa7b4; --line: #36404b; --paper: #14181d; --tint: #1d232a; --link: #79b8f0; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 17px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", Arial, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
header { margin-bottom: 2rem; }
h1 { font-size: 2.1rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.015em; text-wrap: balance; }
h2 { font-size: 1.4rem; line-height: 1.3; margin: 3rem 0 .75rem; padding-top: 1.25rem; border-top: 1px solid
var(--line); } h3 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h4 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
p, ul, pre { max-width: 46rem; margin: 0 0 1rem; }
.lead { color: var(--soft); font-size: 1.1rem; }
a { color: var(--link); }
a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; max-width: none; }
code { font: .9em ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; background: var(--tint);
  padding: .1em .3em; border-radius: 3px; overflow-wrap: anywhere; }
pre { background: var(--tint); padding: .9rem 1rem; border-radius: 6px; overflow-x: auto; max-width: 100%; }
pre code { padding: 0; background: none; overflow-wrap: normal; }
figure { margin: 1.5rem 0 2rem; }
figcaption { color: var(--soft); font-size: .92rem; max-width: 46rem; margin-top: .6rem; }
img { max-width: 100%; height: auto; display: block; border-radius: 4px; background: #fff; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .95rem; line-height: 1.35; }
th, td { padding: .45rem 1.1rem .45rem 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { color: var(--soft); font-weight: 600; border-bottom-width: 2px; white-space: nowrap; }
tbody th { font-weight: 500; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
@media (max-width: 600px) { body { font-size: 16px; } main { padding-top: 1.5rem; } h1 { font-size: 1.7rem; } }
@media print { h2 { break-after: avoid; } figure { break-inside: avoid; } }
"""

_DRAW = """
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const clear = "rgba(0,0,0,0)";
  function themed(template) {
    const css = getComputedStyle(document.documentElement);
    const [ink, soft, line, tint] = ["--ink", "--soft", "--line", "--tint"].map(name =>
    css.getPropertyValue(name).trim()); const axis = { gridcolor: line, linecolor: soft, zerolinecolor: line,
    tickcolor: soft }; const mine = template.layout || {};
    const merge = name => ({ ...(mine[name] || {}), ...axis });
    return { ...template, layout: { ...mine, paper_bgcolor: clear, plot_bgcolor: clear,
      font: { ...(mine.font || {}), color: ink }, xaxis: merge("xaxis"), yaxis: merge("yaxis"),
      hoverlabel: { bgcolor: tint, bordercolor: line, font: { color: ink } },
      modebar: { bgcolor: clear, color: soft, activecolor: ink } } };
  }
  const plots = [...document.querySelectorAll(".plot")];
  plots.forEach((plot, k) => {
    const figure = JSON.parse(document.getElementById("data-" + k).textContent);
    const layout = figure.layout;
    const template = layout.template || {};
    delete layout.width;
    layout.autosize = true;
    layout.template = themed(template);
    // plotly 7 would otherwise offer to upload the chart to a server of its makers.
    const config = { responsive: true, displaylogo: false, scrollZoom: false, showSendToCloud: false };
    Plotly.newPlot(plot, { data: figure.data, layout, frames: figure.frames || [], config });
    dark.addEventListener("change", () => Plotly.relayout(plot, { template: themed(template) }));
  });
})();
"""
