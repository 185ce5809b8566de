"""Tests of the worlds, the policies and rollouts."""
