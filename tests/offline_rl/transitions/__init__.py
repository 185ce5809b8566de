"""Tests of thresher.offline_rl.transitions."""
