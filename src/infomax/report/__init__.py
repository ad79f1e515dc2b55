"""One self-contained HTML page a run or a study, and the figures in it."""

from infomax.report.figures import Panel, Style, mi_curves, mi_panels, style, template
from infomax.report.page import Page
from infomax.report.spheres import spheres

__all__ = ["Page", "Panel", "Style", "mi_curves", "mi_panels", "spheres", "style", "template"]
