"""A chat backend that cancels its sessions on a stop, and expects that they end so."""

import signal

# As long as there is nothing to save, Ctrl+C may end it: an import that is interrupted prints a traceback, or loses the signal.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import asyncio


async def session():
    while True:
        await asyncio.sleep(0.01)


async def main():
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    sessions = [asyncio.create_task(session()) for _ in range(3)]
    print("ready", flush=True)
    await asked.wait()
    print("stopping", flush=True)
    for task in sessions:
        task.cancel()
    await asyncio.gather(*sessions, return_exceptions=True)
    # Done: what comes now would meet an interpreter whose loop, and with it these handlers, is gone.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})


asyncio.run(main())
