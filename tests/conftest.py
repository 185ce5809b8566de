"""What holds for every test, however they are started."""

from __future__ import annotations

import signal

# A shell starts what is to run in the background with Ctrl-C ignored, and every program
# started from there ignores it, too; tests that send it would send it in vain.
signal.signal(signal.SIGINT, signal.default_int_handler)
