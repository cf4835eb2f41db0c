"""A server that starts a helper without its files, and ends it."""

import signal
import socket
import subprocess
import time

asked = False


def stop(*_):
    global asked
    asked = True


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
server = socket.create_server(("127.0.0.1", 0))
helper = subprocess.Popen(["sleep", "60"], start_new_session=True)
print("ready", flush=True)
while not asked:
    time.sleep(0.01)
server.close()
helper.terminate()
helper.wait()
