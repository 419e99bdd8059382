"""Measure: models, results beside people's annotations, and emopipe itself."""
