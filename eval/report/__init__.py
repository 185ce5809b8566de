"""Reports: one self-contained HTML page about a road, or any part of it."""
