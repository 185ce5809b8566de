"""Tests of the bin-grasping world."""
