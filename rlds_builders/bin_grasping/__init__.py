"""Bin grasping: try after try at picking objects out of a tray."""
