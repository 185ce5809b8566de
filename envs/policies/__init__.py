"""Policies: random, scripted, planned and saved ones."""
