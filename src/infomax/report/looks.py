"""How things look: a method has the same colour and dash wherever it appears.

Colours are those of Okabe and Ito (distinct under the common colour blindnesses) where they read on white and on black
alike; what shares a colour is of one family and differs in its dash.
"""

import html
import io
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from plotly.graph_objs.layout import Template

CLASSES = ("#D55E00", "#0072B2", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#8A8D2B", "#7B6FD0", "#A0703C", "#7F8A96")
NEUTRAL = "#87919C"


class Style(NamedTuple):
    """How a curve is drawn: name in print, line colour, plotly dash, the line of the legend that it shares, else its own."""

    label: str
    colour: str
    dash: str = "solid"
    group: str = ""


_STYLES = {
    "sdmi": Style("SDMI", "#D55E00"),
    "sdmi_f": Style("SDMI f", "#D55E00"),
    "sdmi_g": Style("SDMI g", "#D55E00", "dash"),
    "jmi": Style("JMI", "#0072B2"),
    "sdmi, no marginal": Style("SDMI, no marginal", "#7F8A96", "dot"),
    "sdmi, no marginal, predictors": Style("SDMI, no marginal, predictors", "#D55E00", "dot"),
    "taylor_jmi": Style("Taylor-JMI", "#0072B2", "dash"),
    "simclr": Style("SimCLR", "#56B4E9"),
    "simsiam": Style("SimSiam", "#009E73"),
    "simsiam, no predictor": Style("SimSiam, no predictor", "#009E73", "dot"),
    "simsiam with cos-DV": Style("SimSiam with cos-DV", "#009E73", "dash"),
    "byol": Style("BYOL", "#E69F00"),
    "bgrl": Style("BGRL", "#E69F00", "dash"),
    "moco": Style("MoCo", "#CC79A7"),
    "moco_v1": Style("MoCo v1", "#CC79A7", "dot"),
    "moco_v2": Style("MoCo v2", "#CC79A7", "dash"),
    "moco_v3": Style("MoCo v3", "#CC79A7"),
    "barlow_twins": Style("Barlow Twins", "#8A8D2B"),
    "vicreg": Style("VICReg", "#7B6FD0"),
    "w_mse": Style("W-MSE", "#7B6FD0", "dash"),
    "swav": Style("SwAV", "#A0703C"),
    "dino": Style("DINO", "#A0703C", "dash"),
    "raw": Style("raw pixels", NEUTRAL, "dot"),
    "random": Style("random encoder", NEUTRAL, "dash"),
}
_LABELLED = {known.label: known for known in _STYLES.values()}


def style(method: str) -> Style:
    """Return how a method is drawn, by its name or its label; a name of your own has a style that stays from run to run.

    Example:
        >>> style("moco_v3").label, style("moco_v3").colour
        ('MoCo v3', '#CC79A7')
        >>> style("my_method") == style("my_method")
        True
    """
    if method in _STYLES:
        return _STYLES[method]
    if method in _LABELLED:
        return _LABELLED[method]
    return Style(method, CLASSES[zlib.crc32(method.encode()) % len(CLASSES)], "dashdot")


def plain(text: str) -> str:
    """Text as it is, where plotly would read a small HTML: names of files, runs and labels may hold anything.

    Example:
        >>> plain("<b>cat</b>")
        '&lt;b&gt;cat&lt;/b&gt;'
    """
    return html.escape(text, quote=False)


def short(text: str, most: int = 34) -> str:
    """A name that fits above a panel: of a long one both ends.

    Example:
        >>> short("a-very-long-name-of-a-run", most=11)
        'a-ve...-run'
    """
    if len(text) <= most:
        return text
    end = (most - 3) // 2
    return f"{text[: most - 3 - end]}...{text[-end:]}"


def png(figure: "Figure", dpi: int = 110) -> bytes:
    """The bytes of a PNG file of a figure of matplotlib's."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    return file.getvalue()


def template() -> "Template":
    """Return the plotly template of every figure: quiet grid, no box, room for the labels.

    Example:
        >>> template().layout.colorway[0]
        '#D55E00'
    """
    from plotly.graph_objects import layout

    axis = {"gridcolor": "#dfe4ea", "zeroline": False, "ticks": "outside", "ticklen": 4, "automargin": True}
    return layout.Template(
        layout={
            "font": {"family": 'system-ui, "Segoe UI", Roboto, "DejaVu Sans", Arial, sans-serif', "size": 14},
            "colorway": list(CLASSES),
            "paper_bgcolor": "#ffffff",
            "plot_bgcolor": "#ffffff",
            "xaxis": axis,
            "yaxis": axis,
            "margin": {"l": 60, "r": 20, "t": 50, "b": 50},
            "hovermode": "closest",
            "legend": {"orientation": "h", "yanchor": "top", "y": -0.16, "x": 0, "title": {"text": ""}},
        }
    )
