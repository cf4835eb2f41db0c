"""A program that holds a lock file. It is removed at exit, but TERM is no exit: the kernel ends it, and the file names a dead process."""

import atexit
import os
import tempfile
import time

lock = os.path.join(tempfile.gettempdir(), "agent.lock")
with open(lock, "w") as file:
    file.write(f"{os.getpid()}\n")
# Fault: this runs after Ctrl+C, and not after TERM.
atexit.register(os.remove, lock)
print("ready", flush=True)
try:
    while True:
        time.sleep(0.01)
except KeyboardInterrupt:
    pass
