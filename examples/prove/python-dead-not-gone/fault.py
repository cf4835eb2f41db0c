"""A collector that reads its feed in a thread. Main ends on Ctrl+C, the thread does not: dead, but not gone."""

import signal
import sys
import threading
import time


def feed():
    while True:
        time.sleep(0.01)


def stop(*_):
    print("stopped", flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
# Fault: the interpreter waits for this thread, and nothing ends it.
threading.Thread(target=feed).start()
print("ready", flush=True)
while True:
    time.sleep(0.01)
