"""Pictures as SVG text, for pages that need nothing from elsewhere."""

from chainrule.drawing.charts import bar_chart, line_chart, scatter_chart
from chainrule.drawing.picture import Drawing

__all__ = ["Drawing", "bar_chart", "line_chart", "scatter_chart"]
