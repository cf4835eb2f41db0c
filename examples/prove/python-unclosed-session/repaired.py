"""Watches an exchange through a client session of aiohttp, and closes it. The exchange is a small server beside it."""

import signal

# As long as there is nothing to save, Ctrl+C may end it: an import that is interrupted prints a traceback, or loses the signal.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import asyncio

import aiohttp

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


async def exchange(reader, writer):
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def watch(session, address):
    while True:
        async with session.get(address) as answer:
            await answer.read()
        await asyncio.sleep(0.01)


async def main():
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    server = await asyncio.start_server(exchange, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    session = aiohttp.ClientSession()
    task = asyncio.create_task(watch(session, f"http://{host}:{port}/"))
    print("ready", flush=True)
    await asked.wait()
    task.cancel()
    await asyncio.wait([task])
    await session.close()
    # Done: what comes now would meet an interpreter whose loop, and with it these handlers, is gone.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})


asyncio.run(main())
