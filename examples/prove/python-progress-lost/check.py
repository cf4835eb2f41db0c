"""Every tile is in the progress file."""

import json
import os
import sys

names = os.listdir("data") if os.path.isdir("data") else []
tiles = {int(name.split(".")[0]) for name in names if name.endswith(".tile")}
known = set()
if "progress.json" in names:
    with open("data/progress.json") as file:
        known = set(json.load(file))
if tiles != known:
    print(f"{len(tiles)} tiles are there, the progress file knows {len(known)}")
    sys.exit(1)
