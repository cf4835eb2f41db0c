"""Fetches tiles in batches. A stop ends the batch after the tile that is on its way, says so at once, and saves what was done."""

import json
import os
import signal
import time

asked = False


def stop(*_):
    global asked
    if not asked:
        print("\nstopping", flush=True)
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
        if asked:
            break
        fetch(tile)
        done.append(tile)
    save(done)
    if not asked:
        print(f"\r{len(done)} tiles", end="", flush=True)
