"""Plots of a report: rows of marks, points in a panel, cells of a matrix; hand-written SVG."""
