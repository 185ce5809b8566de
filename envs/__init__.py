"""Worlds to act in, policies that act in them, and rollouts."""
