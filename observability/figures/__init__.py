"""Key figures: what counts most of each layer, and whether it is as it should be. No data is never healthy."""

from observability.figures.catalogue import FIGURES
from observability.figures.cost import cost_figure
from observability.figures.evaluation import KeyFigures
from observability.figures.figure import Figure, FigureError, with_thresholds
from observability.figures.uptime import uptimes

__all__ = ["FIGURES", "Figure", "FigureError", "KeyFigures", "cost_figure", "uptimes", "with_thresholds"]
