"""The smallest asyncio program that stops well; importing asyncio is most of what it does."""

import asyncio
import signal


async def main():
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print("ready", flush=True)
    await stop.wait()


asyncio.run(main())
