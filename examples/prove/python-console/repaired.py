"""A console that asks a model. It waits for a line and for a signal at once; a signal ends it."""

import select
import signal
import socket
import sys

# A signal is a byte that can be waited for. One that only sets a flag would be missed if it came right before `input` waits.
asked, wake = socket.socketpair()
wake.setblocking(False)
signal.set_wakeup_fd(wake.fileno())
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: None)

print("ready", flush=True)
while True:
    print("> ", end="", flush=True)
    readable, _, _ = select.select([sys.stdin, asked], [], [])
    if asked in readable:
        break
    question = sys.stdin.readline().rstrip("\n")
    if question in ("", "exit"):
        break
    print("model:", question)
print("\nbye", flush=True)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
