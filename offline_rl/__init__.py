"""Offline reinforcement learning: dataset versions in, policies out."""
