"""What all measurements share: the folders, the origin, the time that is left, and one run of one client."""

import contextlib
import os
import shutil
import sys
import tempfile
import time

from common import measure

from . import clients


class Bench:
    """The origin and two places to write to: memory (tmpfs) and the disk."""

    def __init__(self, origin, files, places, lists, minutes):
        self.origin, self.files, self.places, self.lists = origin, files, places, lists
        self.seconds = minutes * 60
        self.deadline = time.monotonic() + self.seconds
        self.cut = False

    def left(self):
        return self.deadline - time.monotonic()

    def over(self, share=1.0):
        """Whether this share of the time of the whole run is used up; if so, the tables say it."""
        over = self.left() <= (1 - share) * self.seconds
        self.cut = self.cut or over
        return over

    def job(self, door, last_zoom):
        return clients.Job(door.base, last_zoom, self.lists)

    def limit(self, seconds):
        """The time of one run, which outlasts that of the whole by a tenth at most."""
        return max(5, min(seconds, self.left() + self.seconds / 10))

    @contextlib.contextmanager
    def out(self, place="memory"):
        """An empty folder, gone afterwards."""
        folder = tempfile.mkdtemp(prefix="out-", dir=self.places[place])
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def start(self, argv, out, env=None):
        return measure.Client(argv, out, os.path.join(self.lists, "client.log"), env)

    def run(self, argv, out, limit, env=None):
        """One run to its end; what it printed goes to stderr if it failed."""
        open(os.path.join(self.lists, "client.log"), "wb").close()
        client = self.start(argv, out, env)
        try:
            sample = client.wait(self.limit(limit))
        finally:
            client.kill()
        if sample.status != 0:
            say(f"    {os.path.basename(argv[0])} ended with {sample.status}: {client.last_words()[-400:]}")
        return sample


BEGAN = time.monotonic()


def say(text):
    """Progress, apart from the tables."""
    print(f"{time.monotonic() - BEGAN:6.1f} {text}", file=sys.stderr, flush=True)
