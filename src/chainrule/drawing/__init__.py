"""Pictures as SVG text, for pages that need nothing from elsewhere."""

from chainrule.drawing.charts import bar_chart, line_chart, scatter_chart

__all__ = ["bar_chart", "line_chart", "scatter_chart"]
