"""A redis-server of our own, on a socket in a folder and a port of the loopback interface."""

import os
import shutil
import signal
import socket
import subprocess

from .exchange import until


class Redis:
    """Runs until the end of a `with`."""

    def __init__(self, folder):
        self.folder, self.path = folder, os.path.join(folder, "redis.sock")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    @staticmethod
    def missing():
        """Why it cannot run; nothing if it can."""
        return "" if shutil.which("redis-server") else "redis-server is not installed (package redis-server)"

    def __enter__(self):
        return self.start()

    def start(self):
        """Again after `kill`, with nothing of what it had."""
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--unixsocket", self.path, "--save", "", "--appendonly", "no", "--dir", self.folder]
        self.process = subprocess.Popen(
            ["redis-server", *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if not until(lambda: os.path.exists(self.path), 10):
            raise RuntimeError("redis-server did not start within 10 s")
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()
        # It leaves its socket.
        os.remove(self.path)

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def ask(self, *words):
        """One command; lists and texts as they come, other answers as text."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(self.path)
            parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
            connection.sendall(f"*{len(words)}\r\n{parts}".encode())
            return _answer(connection.makefile("rb"))


def _answer(stream):
    kind, rest = (line := stream.readline())[:1], line[1:-2]
    if kind == b"*":
        return [_answer(stream) for _ in range(int(rest))]
    if kind == b"$":
        return stream.read(int(rest) + 2)[:-2].decode() if int(rest) >= 0 else None
    if kind == b"-":
        raise RuntimeError(rest.decode())
    return rest.decode()
