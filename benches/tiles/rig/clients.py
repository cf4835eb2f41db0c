"""The clients: how each is called, how it goes on after an interruption, and where its tiles lie."""

import os
import shutil
import subprocess
import sys

from . import tileset
from .stored import Files, Mbtiles

REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(REPOSITORY, "target"))
# What `--install` makes: an environment for original.py and martin-cp. `cargo clean` removes it.
TOOLS = os.path.join(TARGET, "tiles-bench")


class Job:
    """What is to be fetched from where, and the lists that some clients want to read it from."""

    def __init__(self, base, last_zoom, folder):
        self.base, self.last_zoom, self.folder = base, last_zoom, folder
        self.tiles = tileset.tiles(last_zoom)
        self.template = base + "/{z}/{x}/{y}.png"
        self.bbox = ",".join(str(edge) for edge in tileset.BBOX)
        self.zoom = f"0-{last_zoom}"

    def list(self, name, line, part=slice(None)):
        """A file with a line for each tile, written once."""
        path = os.path.join(self.folder, f"{name}-{self.base.rsplit(':', 1)[1]}-{self.last_zoom}")
        if not os.path.exists(path):
            with open(path, "w") as file:
                file.writelines(line.format(base=self.base, path=f"{z}/{x}/{y}.png") for z, x, y in self.tiles[part])
        return path


class Peer:
    """A client. `out` is a folder of its own and the current directory of the command."""

    name = ""
    program = ""
    package = ""
    env = {}

    def missing(self):
        """Why it cannot run; None if it can."""
        return None if shutil.which(self.program) else f"not installed ({self.package})"

    def version(self):
        return _first_number(self.program, "--version")

    def command(self, job, out):
        """Everything, from nothing."""
        raise NotImplementedError

    def resume(self, job, out):
        """What its user types to go on."""
        return self.command(job, out)

    def stored(self, out):
        return Files(out)


class Tiles(Peer):
    """Ours."""

    def __init__(self, binary, concurrent=64):
        self.binary, self.concurrent = binary, concurrent
        self.name = "tiles get" if concurrent == 64 else f"tiles get, ceiling {concurrent}"

    def missing(self):
        return None if os.access(self.binary, os.X_OK) else "not built (cargo build --release)"

    def version(self):
        return _first_number(self.binary, "--version")

    def command(self, job, out):
        return self.area(job.template, job.bbox, job.zoom)

    def area(self, template, bbox, zoom):
        # One argument with `=`, because a box may begin with a minus.
        return [
            self.binary,
            "get",
            "out.mbtiles",
            f"--url={template}",
            f"--bbox={bbox}",
            f"--zoom={zoom}",
            f"--concurrent={self.concurrent}",
        ]

    def resume(self, job, out):
        return [self.binary, "get", "out.mbtiles"]

    def stored(self, out):
        return Mbtiles(os.path.join(out, "out.mbtiles"))


class Original(Peer):
    """The Python script."""

    def __init__(self, concurrent=500):
        self.name = f"original.py, {concurrent} at once"
        self.concurrent = concurrent

    def missing(self):
        return None if _python() else "not installed (aiohttp, see requirements.txt)"

    def version(self):
        script = "import aiohttp, platform; print('aiohttp', aiohttp.__version__, 'Python', platform.python_version())"
        return subprocess.run([_python(), "-c", script], capture_output=True, text=True, timeout=20).stdout.strip()

    def command(self, job, out):
        script = os.path.join(REPOSITORY, "benches/tiles/original.py")
        area = ["--bbox", job.bbox, "--zoom", job.zoom, "--out", "."]
        return [_python(), script, "--url", job.template, *area, "--concurrent", str(self.concurrent)]

    def resume(self, job, out):
        return [*self.command(job, out), "--resume"]


class Aria2(Peer):
    name, program, package = "aria2c -j16", "aria2c", "aria2"

    def command(self, job, out):
        urls = job.list("aria2", "{base}/{path}\n out={path}\n")
        kept = ["-c", "--allow-overwrite=false", "--auto-file-renaming=false", "--file-allocation=none"]
        return ["aria2c", "-q", "-j16", "-i", urls, *kept]


class Wget2(Peer):
    name, program, package = "wget2, 16 threads", "wget2", "wget2"

    def command(self, job, out):
        urls = job.list("urls", "{base}/{path}\n")
        return ["wget2", "-q", "--max-threads=16", "-nc", "-x", "-nH", "-i", urls]


class Wget(Peer):
    name, program, package = "wget, one at a time", "wget", "wget"

    def command(self, job, out):
        return ["wget", "-q", "-nc", "-x", "-nH", "-i", job.list("urls", "{base}/{path}\n")]


class Curl(Peer):
    program, package = "curl", "curl"
    # Below 8.13 more than 300 at once are not possible: with 500, two of them share the list.
    MOST = 300

    def __init__(self, concurrent=64, retry=0):
        self.concurrent, self.retry = concurrent, retry
        self.processes = -(-concurrent // self.MOST)
        both = f" ({self.processes} processes)" if self.processes > 1 else ""
        self.name = f"curl -Z, {concurrent} at once{both}"

    def command(self, job, out):
        return self._all(job, [])

    def resume(self, job, out):
        kept = ["--skip-existing"] if _at_least(self.version(), (8, 10)) else []
        return self._all(job, kept)

    def _all(self, job, more):
        line = 'url = "{base}/{path}"\noutput = "{path}"\n'
        commands = []
        for at in range(self.processes):
            part = slice(at, None, self.processes)
            urls = job.list(f"curl{at}of{self.processes}", line, part)
            at_once = ["--parallel-max", str(self.concurrent // self.processes)]
            retry = ["--retry", str(self.retry)] if self.retry else []
            commands.append(["curl", "-s", "-Z", *at_once, *retry, *more, "--create-dirs", "-K", urls])
        if len(commands) == 1:
            return commands[0]
        script = " & ".join(" ".join(command) for command in commands)
        return ["sh", "-c", f"{script} & wait"]


class MartinCp(Peer):
    """The copier of martin at its best: tiles as they came, one plain table, no sum over all tiles."""

    name, program = "martin-cp, 64 at once", "martin-cp"
    VERSION = "1.14.0"

    def missing(self):
        if _martin():
            return None
        try:
            with open(os.path.join(TOOLS, "martin-cp.missing")) as reason:
                return f"not installed ({reason.read().strip()})"
        except OSError:
            return "not installed (cargo install martin)"

    def version(self):
        return _first_number(_martin(), "--version")

    def command(self, job, out):
        return self._copy(job, out, [])

    def resume(self, job, out):
        return self._copy(job, out, ["--on-duplicate", "ignore"])

    def _copy(self, job, out, more):
        config = os.path.join(job.folder, f"martin-{job.base.rsplit(':', 1)[1]}.yaml")
        with open(config, "w") as file:
            file.write(f'passthrough:\n  sources:\n    tiles: "{job.template}"\n')
        how = ["--mbtiles-type", "flat", "--skip-agg-tiles-hash", "--encoding", "identity", "--concurrency", "64"]
        area = [f"--bbox={job.bbox}", "--min-zoom", "0", "--max-zoom", str(job.last_zoom)]
        return [_martin(), "--config", config, "--source", "tiles", "--output-file", "out.mbtiles", *how, *area, *more]

    def stored(self, out):
        return Mbtiles(os.path.join(out, "out.mbtiles"))


def everybody(binary):
    """Who takes part, ours first."""
    wget = Wget() if Wget2().missing() and not Wget().missing() else Wget2()
    return [Tiles(binary), Original(), Aria2(), wget, Curl(), MartinCp()]


def _python():
    """An interpreter that has aiohttp."""
    for python in (os.path.join(TOOLS, "venv/bin/python"), sys.executable):
        if os.path.exists(python):
            found = subprocess.run([python, "-c", "import aiohttp"], capture_output=True, timeout=20, check=False)
            if found.returncode == 0:
                return python
    return None


def _martin():
    return shutil.which("martin-cp", path=os.path.join(TOOLS, "bin") + os.pathsep + os.environ.get("PATH", ""))


def _first_number(program, argument):
    """The first word of the answer that begins with a digit."""
    out = subprocess.run([program, argument], capture_output=True, text=True, timeout=20, check=False)
    words = (out.stdout + out.stderr).replace(",", " ").split()
    return next((word for word in words if word[0].isdigit()), "?")


def _at_least(version, wanted):
    try:
        return tuple(int(part) for part in version.split(".")[:2]) >= wanted
    except ValueError:
        return False
