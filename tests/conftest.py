"""What holds for every test."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# What a shell starts in the background ignores ^C, and hands that on to what the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes is the machine's, and a busy one must not fail a test.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")
