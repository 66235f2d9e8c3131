"""The scripted worker with a consumer that stalls: Celery never notices that its connection fell silent."""

import os

from tests.crash.scripted_worker import app
from workers import pulse, tasks

__all__ = ["app"]
app.conf.broker_transport_options["health_check_interval"] = 3600
if "CRASH_PULSE_S" in os.environ:  # a test that has no time
    pulse.PULSE_S = float(os.environ["CRASH_PULSE_S"])
    tasks.STALLED_END_S = 0.5
