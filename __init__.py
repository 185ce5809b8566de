"""Thresher: robot episodes in, policies out.

Turns raw robot logs, scripted rollouts and demonstrations into versioned RLDS
datasets whose mix of success and failure is chosen, checked and recorded, and
trains offline reinforcement-learning policies on them.
"""

__version__ = "0.1.0"
