"""Thresher: robot episodes in, policies out.

Turns raw robot logs, scripted rollouts and demonstrations into versioned RLDS
datasets whose mix of success and failure is chosen, checked and recorded, and
trains offline reinforcement-learning policies on them.
"""

import os

# TensorFlow reads this once, when it is first imported, and then rounds differently:
# set here, before any module of ours can import it, every process computes alike.
# Training steps take a third to a half less time on processors where it is not the
# default.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Arrow's own allocator keeps several times what tables of a few megabytes need, and
# every worker holds such tables.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

__version__ = "0.1.0"
