"""A server that starts a helper with all its files open, and leaves it: the helper keeps the port."""

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
# Fault: the helper inherits the socket, and outlives the server.
server.set_inheritable(True)
helper = subprocess.Popen(["sleep", "60"], close_fds=False, start_new_session=True)
print("ready", flush=True)
while not asked:
    time.sleep(0.01)
server.close()
