"""A console that asks a model. Ctrl+C and TERM end the waiting for a line, and then the console."""

import signal


class Asked(Exception):
    """It was asked to stop."""


def stop(*_):
    # Later ones do nothing: the first ends it.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise Asked


try:
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print("ready", flush=True)
    while True:
        question = input("> ")
        if question == "exit":
            break
        print("model:", question)
except (Asked, EOFError):
    print("\nbye", flush=True)
