"""Fetches tiles in batches. The progress is shown and saved after each batch; on a stop the bar freezes, and what was done is not saved."""

import json
import os
import signal
import sys
import time

asked = False


def stop(*_):
    global asked
    asked = True


def fetch(tile):
    time.sleep(0.05)
    with open(f"data/{tile}.tile", "w") as file:
        file.write("a tile")


def save(done):
    with open("data/progress.tmp", "w") as file:
        json.dump(done, file)
    os.replace("data/progress.tmp", "data/progress.json")


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
os.makedirs("data", exist_ok=True)
done = []
print("ready", flush=True)
while not asked:
    for tile in range(len(done), len(done) + 10):
        fetch(tile)
        done.append(tile)
    # Fault: a stop is noticed after a whole batch, and leaves before its progress is saved.
    if asked:
        sys.exit(0)
    save(done)
    print(f"\r{len(done)} tiles", end="", flush=True)
