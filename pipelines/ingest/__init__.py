"""Readers of logs: one file per format, one small interface."""
