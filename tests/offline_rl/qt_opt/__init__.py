"""Tests of thresher.offline_rl.qt_opt."""
