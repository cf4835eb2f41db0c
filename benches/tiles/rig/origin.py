"""The origin: one nginx with one worker, the same files behind several doors, and its log of what was asked."""

import contextlib
import os
import resource
import shutil
import socket
import subprocess
import sys
import time

# Where Debian and others put the module that lets nginx wait without a thread (libnginx-mod-http-echo).
ECHO = ("/usr/lib/nginx/modules/ngx_http_echo_module.so", "/usr/share/nginx/modules/ngx_http_echo_module.so")

# The doors: milliseconds before an answer, requests a second, whether a tile that is not there is answered with another.
DOORS = {
    "plain": (0, 0, False),
    "10ms": (10, 0, False),
    "50ms": (50, 0, False),
    "limited": (50, 1000, False),
    "world": (0, 0, True),
}


def missing():
    """Why there can be no origin; None if there can."""
    return None if _nginx() else "nginx is not installed"


def without_delay():
    """Why no door can wait; None if they can."""
    return None if _echo() else "nginx has no echo module (libnginx-mod-http-echo)"


def version():
    out = subprocess.run([_nginx(), "-v"], capture_output=True, text=True, timeout=10)
    return (out.stderr or out.stdout).strip().rsplit("/", 1)[-1]


class Nginx:
    """All doors at once. `with Nginx(…) as origin: origin.door("plain")`."""

    def __init__(self, folder, work):
        self.folder, self.work = folder, work
        self.doors, self.process = {}, None

    def __enter__(self):
        os.makedirs(self.work, exist_ok=True)
        names = [name for name in DOORS if _echo() or DOORS[name][0] == 0]
        for _ in range(3):  # a port that was free may be taken a moment later
            ports = _free_ports(len(names))
            self.doors = {name: Door(port, os.path.join(self.work, f"{name}.log")) for name, port in zip(names, ports)}
            with open(os.path.join(self.work, "nginx.conf"), "w") as file:
                file.write(self._config())
            argv = [_nginx(), "-p", self.work, "-c", os.path.join(self.work, "nginx.conf")]
            with open(os.path.join(self.work, "nginx.out"), "wb") as output:
                self.process = subprocess.Popen(
                    with_parent(argv), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
                )
            if all(_answers(door.port, self.process) for door in self.doors.values()):
                return self
            self.__exit__()
        with open(os.path.join(self.work, "nginx.out"), errors="replace") as output:
            raise RuntimeError(f"nginx does not start: {output.read().strip()}")

    def __exit__(self, *_):
        stop(self.process)

    def door(self, name):
        """A door, its log empty."""
        door = self.doors[name]
        door.forget()
        return door

    def _config(self):
        servers = "".join(self._server(name, door) for name, door in self.doors.items())
        root = "user root;" if os.geteuid() == 0 else ""  # the folders are private to whoever runs this
        module = f"load_module {_echo()};" if _echo() else ""
        paths = "".join(f"{kind}_temp_path {kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return f"""{module} {root}
worker_processes 1; worker_rlimit_nofile {_files()}; daemon off; pid nginx.pid; error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  {paths}
  types {{ image/png png; }}
  log_format asked '$msec $status $request_completion $request_uri';
  sendfile on; tcp_nopush on; keepalive_requests 1000;
  limit_req_zone $server_port zone=a_second:1m rate=1000r/s;
{servers}}}
"""

    def _server(self, name, door):
        delay, rate, any_tile = DOORS[name]
        limit = "limit_req zone=a_second burst=200 nodelay; limit_req_status 429; error_page 429 @later;" if rate else ""
        wait = f"echo_sleep {delay / 1000}; echo_exec @files;" if delay and _echo() else ""
        wait = wait or ("try_files $uri /0/0/0.png;" if any_tile else "")
        return f"""  server {{
    listen 127.0.0.1:{door.port} backlog=4096; root {self.folder}; access_log {door.log} asked;
    location / {{ {limit} {wait} }}
    location @files {{ root {self.folder}; }}
    location @later {{ internal; default_type text/plain; add_header Retry-After 1 always; return 429 "later\\n"; }}
  }}
"""


class Plain:
    """An origin that needs nothing but Python, for the short stop comparison: one door, which waits `delay` milliseconds."""

    def __init__(self, folder, work, delay):
        self.folder, self.work, self.delay = folder, work, delay
        self.only, self.process = None, None

    def __enter__(self):
        os.makedirs(self.work, exist_ok=True)
        log = os.path.join(self.work, "plain.log")
        script = os.path.join(os.path.dirname(__file__), "plain_origin.py")
        argv = [sys.executable, script, self.folder, log, str(self.delay)]
        self.process = subprocess.Popen(
            with_parent(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
        )
        self.only = Door(int(self.process.stdout.readline()), log)
        return self

    def __exit__(self, *_):
        stop(self.process)

    def door(self, _name):
        self.only.forget()
        return self.only


class Door:
    """An address of the origin and what was asked there, a line for each request."""

    def __init__(self, port, log):
        self.port, self.log = port, log
        self.since = self.read = self.lines = 0

    @property
    def base(self):
        return f"http://127.0.0.1:{self.port}"

    def forget(self):
        """Begins a new count behind what the client before has asked."""
        self.settle()
        self.since = self.read = self._size()
        self.lines = 0

    def requests(self):
        """How many were logged since; cheap enough to be asked every millisecond."""
        if self._size() > self.read:
            with open(self.log, "rb") as file:
                file.seek(self.read)
                more = file.read()
            self.read += len(more)
            self.lines += more.count(b"\n")
        return self.lines

    def settle(self):
        """Waits until the log has stood still for 150 ms: a request is logged when its answer has been given."""
        size, since = self._size(), time.monotonic()
        while time.monotonic() - since < 0.15:
            time.sleep(0.02)
            if self._size() != size:
                size, since = self._size(), time.monotonic()

    def entries(self):
        """What was asked since: `(seconds, status, whole, tile)`, in the order of the answers; `tile` is None for other paths."""
        self.settle()
        with open(self.log) as file:
            file.seek(self.since)
            return [_entry(line) for line in file]

    def failures(self):
        """How often the origin itself was at fault; then no figure says anything of the client."""
        return sum(status >= 500 for _, status, _, _ in self.entries())

    def _size(self):
        return os.path.getsize(self.log) if os.path.exists(self.log) else 0


def served(entries):
    """The tiles that were answered whole."""
    return {tile for _, status, whole, tile in entries if status in (200, 206) and whole and tile}


def _entry(line):
    seconds, status, whole, path = line.rstrip("\n").split(" ", 3)
    try:
        z, x, y = path.partition("?")[0].rsplit(".", 1)[0].strip("/").split("/")
        tile = int(z), int(x), int(y)
    except ValueError:
        tile = None
    return float(seconds), int(status), whole == "OK", tile


def with_parent(argv):
    """The same command, to end when the rig does, however that ends."""
    return ["setpriv", "--pdeathsig", "TERM", *argv] if shutil.which("setpriv") else argv


def stop(process):
    """Ends a process that was started here."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)


def _nginx():
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _echo():
    return next((module for module in ECHO if os.path.exists(module)), None)


def _files():
    """How many files the worker may have open: a connection and a tile for each of thousands."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)


def _free_ports(count):
    with contextlib.ExitStack() as open_ones:
        sockets = [open_ones.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _answers(port, process):
    for _ in range(100):
        if process.poll() is not None:
            return False
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.05)
    return False
