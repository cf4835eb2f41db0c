"""A supervisor of one worker, which has a session of its own. It ends, and the worker goes on."""

import signal
import subprocess
import time

asked = False


def stop(*_):
    global asked
    asked = True


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
worker = subprocess.Popen(["sleep", "60"], start_new_session=True)
print("ready", flush=True)
while not asked:
    time.sleep(0.01)
# Fault: nobody ends the worker.
