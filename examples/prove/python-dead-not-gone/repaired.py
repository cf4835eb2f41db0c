"""A collector that reads its feed in a thread, which is told to end and waited for."""

import signal
import threading
import time

asked = threading.Event()


def feed():
    while not asked.wait(0.01):
        pass


def stop(*_):
    asked.set()


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
thread = threading.Thread(target=feed)
thread.start()
print("ready", flush=True)
while not asked.is_set():
    time.sleep(0.01)
thread.join()
print("stopped", flush=True)
