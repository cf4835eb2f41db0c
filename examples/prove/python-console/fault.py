"""A console that asks a model. It takes Ctrl+C for an empty line and TERM for a wish: only `kill -9` ends it."""

import signal


class GracefulKiller:
    def __init__(self):
        self.kill_now = False
        signal.signal(signal.SIGTERM, self.exit_gracefully)

    def exit_gracefully(self, *_):
        # Fault: `input` goes on waiting, nobody looks at this before the next line.
        self.kill_now = True


killer = GracefulKiller()
print("ready", flush=True)
while not killer.kill_now:
    try:
        question = input("> ")
    except KeyboardInterrupt:
        # Fault: the only way out is to type it.
        print("\nwrite `exit` to leave")
        continue
    if question == "exit":
        break
    print("model:", question)
