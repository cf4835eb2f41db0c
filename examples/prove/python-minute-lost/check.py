"""Every trade that was sent is in a minute."""

import json
import sys


def read(name):
    try:
        with open(f"data/{name}") as file:
            return file.read()
    except FileNotFoundError:
        return ""


sent = len(read("sent").splitlines())
stored = sum(json.loads(read("minutes.json") or "{}").values())
if stored != sent:
    print(f"{sent} trades were sent, {stored} are stored")
    sys.exit(1)
