"""A chat backend that gives its streams 2.5 s to end, also when there is none."""

import signal

# As long as there is nothing to save, Ctrl+C may end it: an import that is interrupted prints a traceback, or loses the signal.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import asyncio


async def main():
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    streams = set()
    print("ready", flush=True)
    await asked.wait()
    print(f"stopping, {len(streams)} streams", flush=True)
    # Fault: it waits for the time, not for the streams.
    await asyncio.sleep(2.5)
    # Done: what comes now would meet an interpreter whose loop, and with it these handlers, is gone.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})


asyncio.run(main())
