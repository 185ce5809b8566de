"""TensorFlow reads this when it is imported; killed runs must compute as others do."""

from __future__ import annotations

import os

os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
