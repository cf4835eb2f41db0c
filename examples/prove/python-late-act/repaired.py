"""Handles jobs of 450 ms each. A stop ends the one that it waits for."""

import signal
import threading

asked = threading.Event()


def stop(*_):
    asked.set()


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
print("ready", flush=True)
while not asked.wait(0.45):
    pass
print("stopped", flush=True)
