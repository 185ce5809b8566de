"""Datasets: one folder each, buildable with `tfds build`."""
