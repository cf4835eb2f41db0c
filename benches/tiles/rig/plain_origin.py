"""A small origin over HTTP/1.1: `plain_origin.py FOLDER LOG MILLISECONDS` prints its port and serves the files of the folder.

It answers GET only, one request of a connection at a time, and logs as the rig's nginx does.
"""

import asyncio
import os
import sys
import time


class Connection(asyncio.Protocol):
    def __init__(self, folder, log, delay):
        self.folder, self.log, self.delay = folder, log, delay
        self.rest = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        *heads, self.rest = (self.rest + data).split(b"\r\n\r\n")
        for head in heads:
            path = head.split(b" ", 2)[1].decode()
            asyncio.get_running_loop().call_later(self.delay, self.answer, path)

    def answer(self, path):
        try:
            with open(self.folder + os.path.normpath(path.partition("?")[0]), "rb") as file:
                status, body = 200, file.read()
        except OSError:
            status, body = 404, b"no such tile\n"
        kind = "image/png" if status == 200 else "text/plain"
        head = f"HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)
        # Whole is what the kernel has taken, as with nginx: what waits here when the client leaves was not served.
        whole = "OK" if not self.transport.is_closing() and not self.transport.get_write_buffer_size() else "-"
        self.log.write(f"{time.time():.3f} {status} {whole} {path}\n")


async def main(folder, log, milliseconds):
    loop = asyncio.get_running_loop()
    with open(log, "a", buffering=1) as file:
        server = await loop.create_server(
            lambda: Connection(folder.rstrip("/"), file, float(milliseconds) / 1000), "127.0.0.1", 0, backlog=1024
        )
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
