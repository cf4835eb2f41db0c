"""What a client has left behind, compared with the files of the origin byte for byte."""

import contextlib
import dataclasses
import os
import re
import shutil
import sqlite3
import tempfile

# z/x/y.png as the origin names them, or tile_z_x_y.jpg as the original script does.
NAMES = re.compile(r"(?:^|/)(?:tile_(\d+)_(\d+)_(\d+)\.jpg|(\d+)/(\d+)/(\d+)\.png)$")


@dataclasses.dataclass
class Found:
    """The tiles that are there."""

    right: set
    """As the origin has them."""
    wrong: set
    """There under the name of a tile, but with other bytes, or with none."""
    corrupt: str
    """What the check of the file says; empty if it is sound, or if there is no file to be checked."""


class Files:
    """A folder of files. A file that aria2 has marked as unfinished does not count."""

    def __init__(self, folder):
        self.folder = folder

    def count(self):
        return sum(len(names) for _, names in self._names())

    def compare(self, origin):
        right, wrong = set(), set()
        for folder, names in self._names():
            for name, tile in names:
                (right if _same(os.path.join(folder, name), _file(origin, tile)) else wrong).add(tile)
        return Found(right, wrong, "")

    def bytes(self):
        return sum(os.path.getsize(os.path.join(folder, name)) for folder, names in self._names() for name, _ in names)

    def _names(self):
        for folder, _, files in os.walk(self.folder):
            unfinished = {name[: -len(".aria2")] for name in files if name.endswith(".aria2")}
            found = []
            for name in files:
                match = NAMES.search(os.path.join(folder, name))
                if match and name not in unfinished:
                    found.append((name, tuple(int(part) for part in match.groups() if part is not None)))
            yield folder, found


class Mbtiles:
    """One SQLite file. What a killed client has left is read from a copy, so that reading does not mend it."""

    def __init__(self, path):
        self.path = path

    def count(self):
        return self._ask(lambda base: base.execute("SELECT count(*) FROM tiles").fetchone()[0], 0)

    def bytes(self):
        return self._ask(lambda base: base.execute("SELECT total(length(tile_data)) FROM tiles").fetchone()[0], 0)

    def compare(self, origin):
        return self._ask(lambda base: self._compare(base, origin), Found(set(), set(), ""))

    @staticmethod
    def _compare(base, origin):
        right, wrong = set(), set()
        try:
            verdict = base.execute("PRAGMA integrity_check").fetchone()[0]
            for z, x, row, data in base.execute("SELECT zoom_level, tile_column, tile_row, tile_data FROM tiles"):
                tile = z, x, 2**z - 1 - row
                (right if data == _bytes(_file(origin, tile)) else wrong).add(tile)
        except sqlite3.DatabaseError as error:
            verdict = str(error)
        return Found(right, wrong, "" if verdict == "ok" else verdict)

    def _ask(self, question, nothing):
        if not os.path.exists(self.path) or os.path.getsize(self.path) == 0:
            return nothing
        with contextlib.ExitStack() as leave:
            path, how = self.path, "immutable=1"
            beside = [end for end in ("-journal", "-wal") if _size(self.path + end)]
            if beside:
                folder = leave.enter_context(tempfile.TemporaryDirectory(dir=os.path.dirname(self.path)))
                path, how = os.path.join(folder, "copy"), "mode=rw"
                for end in ["", *beside]:
                    shutil.copyfile(self.path + end, path + end)
            base = leave.enter_context(contextlib.closing(sqlite3.connect(f"file:{path}?{how}", uri=True)))
            try:
                return question(base)
            except sqlite3.OperationalError as error:
                # Killed before it had made the table: there is nothing yet.
                if "no such table" in str(error):
                    return nothing
                raise


def _size(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def _file(origin, tile):
    return os.path.join(origin, "{}/{}/{}.png".format(*tile))


def _bytes(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def _same(path, other):
    return _bytes(path) == _bytes(other)
