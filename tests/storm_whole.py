"""The whole service as a process of its own, with alerting's clockwork at a thirtieth.

    LOCKSTEP_CONFIG=… python -m tests.storm_whole

Only constants differ from `python wsgi.py`: minutes of patience with a mail server or after a restart become
seconds, since a storm in a test has no quarter of an hour.
"""

from __future__ import annotations

import app.alerts.core
import app.alerts.entry
import app.alerts.lane
import app.alerts.service
import app.conditions
from app.serving import main

FASTER = 30.0

if __name__ == "__main__":
    app.alerts.entry.FIRST_DELAY_SECONDS /= FASTER
    app.alerts.entry.LONGEST_DELAY_SECONDS /= FASTER * FASTER
    app.alerts.lane.LONGEST_PAUSE_SECONDS /= FASTER * FASTER
    app.alerts.service.DOUBT_SECONDS /= 3 * FASTER
    app.alerts.core.SETTLE_SECONDS /= FASTER
    app.conditions.SECONDS /= FASTER
    main()
