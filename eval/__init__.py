"""Judging policies: evaluation with intervals, and reports."""
