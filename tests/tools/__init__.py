"""Tests of the repository's own checks: each is shown a tree that breaks its rule."""
