"""Handles jobs of 450 ms each. It looks between two jobs whether it was asked to stop, and says nothing before that."""

import signal
import time

asked = False


def stop(*_):
    global asked
    asked = True


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
print("ready", flush=True)
while not asked:
    # Fault: nothing ends this sleep early.
    time.sleep(0.45)
print("stopped", flush=True)
