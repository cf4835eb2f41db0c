"""Handles jobs of 450 ms each. A stop ends the one that it waits for."""

import signal
import time

asked = False


def stop(*_):
    # No lock: a second signal may come while this runs, and would wait for it for ever (Event.set has one).
    global asked
    asked = True


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
print("ready", flush=True)
job_ends = time.monotonic() + 0.45
while not asked:
    time.sleep(0.01)
    if time.monotonic() > job_ends:
        job_ends += 0.45
print("stopped", flush=True)
