"""A worker that saves in its signal handler, under a lock. A second signal waits for the lock that the first one holds, for ever."""

import signal
import sys
import threading
import time

saving = threading.Lock()


def save():
    with saving:
        time.sleep(0.05)


def stop(*_):
    print("saving", flush=True)
    # Fault: the handler of the second signal runs on top of the first, in the same thread.
    save()
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
print("ready", flush=True)
while True:
    time.sleep(0.01)
