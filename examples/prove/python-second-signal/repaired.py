"""A worker whose signal handler only notes that it was asked; the loop saves, once."""

import signal
import threading
import time

saving = threading.Lock()
asked = False


def save():
    with saving:
        time.sleep(0.05)


def stop(*_):
    global asked
    if not asked:
        print("saving", flush=True)
    asked = True


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
print("ready", flush=True)
while not asked:
    time.sleep(0.01)
save()
