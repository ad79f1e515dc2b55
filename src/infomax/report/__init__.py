"""One self-contained HTML page a run or a study, and the figures in it."""

from infomax.report.figures import Panel, mi_curves, mi_panels
from infomax.report.looks import Style, style, template
from infomax.report.page import Page
from infomax.report.spheres import spheres

__all__ = ["Page", "Panel", "Style", "mi_curves", "mi_panels", "spheres", "style", "template"]
