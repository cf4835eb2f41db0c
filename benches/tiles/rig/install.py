"""What the rig needs, by the package names of Debian and Ubuntu, and how `--install` gets it."""

import os
import shutil
import subprocess
import venv

from . import clients, origin
from .bench import say

PACKAGES = ["nginx-light", "libnginx-mod-http-echo", "aria2", "wget2", "curl", "python3-venv"]
# martin-cp compiles for ten minutes on two free cores.
MARTIN_LIMIT = 25 * 60


def missing(peers):
    """What cannot be measured, and why: `[(name, reason)]`."""
    found = [("origin", origin.missing()), ("delayed origin", origin.without_delay())]
    found += [(peer.name, peer.missing()) for peer in peers]
    return [(name, reason) for name, reason in found if reason]


def install():
    """Installs what is missing, as far as this user may. What then is still missing becomes a row of its own."""
    programs = [("nginx", "nginx-light"), ("aria2c", "aria2"), ("wget2", "wget2"), ("curl", "curl")]
    wanted = [package for program, package in programs if not shutil.which(program, path=_path())]
    if origin.without_delay():
        wanted.append("libnginx-mod-http-echo")
    if wanted and os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"installing {' '.join(wanted)}")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        _try(["apt-get", "update", "-q"], 300, quiet)
        for package in wanted:  # one by one, because a release may lack one of them
            _try(["apt-get", "install", "-q", "-y", "--no-install-recommends", package], 300, quiet)
    elif wanted:
        say(f"please install these packages, or run this as root: {' '.join(wanted)}")
    os.makedirs(clients.TOOLS, exist_ok=True)
    if clients.Original().missing():
        _aiohttp()
    if clients.MartinCp().missing():
        _martin()


def _aiohttp():
    folder = os.path.join(clients.TOOLS, "venv")
    requirements = os.path.join(clients.REPOSITORY, "benches/tiles/requirements.txt")
    try:
        venv.create(folder, with_pip=True, clear=True)
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"no environment for original.py (package python3-venv): {error}")
        return
    _try([os.path.join(folder, "bin/python"), "-m", "pip", "install", "-q", "-r", requirements], 300)


def _martin():
    """Compiles martin-cp at the lowest priority; if that fails, says why in the row of the table."""
    version = clients.MartinCp.VERSION
    say(f"compiling martin-cp {version}, at most {MARTIN_LIMIT // 60} minutes")
    argv = ["nice", "-n", "19", "cargo", "install", "martin", "--version", version, "--locked", "--bin", "martin-cp"]
    argv += ["--no-default-features", "--features", "passthrough,mbtiles", "--root", clients.TOOLS]
    # From the root of the repository, so that its toolchain file says which compiler.
    reason = _try(argv, MARTIN_LIMIT, cwd=clients.REPOSITORY) if shutil.which("cargo") else "there is no cargo"
    note = os.path.join(clients.TOOLS, "martin-cp.missing")
    if reason:
        with open(note, "w") as file:
            file.write(reason)
    elif os.path.exists(note):
        os.remove(note)


def _try(argv, limit, env=None, cwd=None):
    """Why a command failed; None if it did not."""
    try:
        done = subprocess.run(
            argv, env=env, cwd=cwd, timeout=limit, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, errors="replace", check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        reason = f"{argv[0]} was not done after {limit // 60} minutes"
    except OSError as error:
        reason = f"{argv[0]}: {error.strerror}"
    else:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"status {done.returncode}"]
        wrong = next((line for line in lines if line.startswith(("error", "E:"))), lines[-1])
        reason = wrong if done.returncode else None
    if reason:
        say(f"  {' '.join(argv[:4])}: {reason}")
    return reason


def _path():
    return os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
