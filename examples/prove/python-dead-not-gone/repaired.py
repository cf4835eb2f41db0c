"""A collector that reads its feed in a thread, which is told to end and waited for."""

import signal
import threading
import time

asked = False


def feed():
    while not asked:
        time.sleep(0.01)


def stop(*_):
    # No lock: a second signal may come while this runs, and would wait for it for ever (Event.set has one).
    global asked
    asked = True


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
thread = threading.Thread(target=feed)
thread.start()
print("ready", flush=True)
while not asked:
    time.sleep(0.01)
thread.join()
print("stopped", flush=True)
