"""The simulated exchange as a process of its own, and what it says of itself."""

import json
import os
import signal
import subprocess
import time
import urllib.request

PATIENCE = 20


class Exchange:
    """Runs until the end of a `with`."""

    def __init__(self, binary, *arguments):
        self.command = [binary, *map(str, arguments)]

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.ws, self.rest = (self.process.stdout.readline().strip() for _ in range(2))
        if not self.ws.startswith("ws"):
            raise RuntimeError(f"{self.command[0]} did not start")
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()

    def tell(self, what, **query):
        """What `/truth/…` answers."""
        query = "&".join(f"{key}={value}" for key, value in query.items())
        with urllib.request.urlopen(f"{self.rest}/truth/{what}?{query}", timeout=PATIENCE) as answer:
            return json.load(answer)

    def cpu(self):
        """Seconds of processor time so far."""
        return cpu_of(self.process.pid)


def cpu_of(pid):
    """Seconds of processor time of a process so far, user and system."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid):
    """Resident mebibytes of a process, and the most so far."""
    with open(f"/proc/{pid}/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return tuple(int(lines[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM"))


def until(true, within=60.0, pause=0.002):
    """Waits until `true()`, which it returns; false if it is not within so many seconds."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        found = true()
        if found:
            return found
        time.sleep(pause)
    return False
