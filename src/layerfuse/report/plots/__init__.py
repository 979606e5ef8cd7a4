"""Plots of a report: rows of marks, points in a panel, cells of a matrix; SVG by hand."""
