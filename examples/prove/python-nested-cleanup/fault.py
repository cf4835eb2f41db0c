"""An agent with three layers of cleanup, each with a time limit of its own around a client that does not close. A tenth of the original's 23 s."""

import signal

# As long as there is nothing to save, Ctrl+C may end it: an import that is interrupted prints a traceback, or loses the signal.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import asyncio


async def close_client():
    await asyncio.Event().wait()


async def layer(name, limit):
    print(f"{name} cleanup", flush=True)
    try:
        await asyncio.wait_for(close_client(), limit)
    except asyncio.TimeoutError:
        print(f"{name} cleanup timed out", flush=True)


async def main():
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    print("ready", flush=True)
    await asked.wait()
    # Fault: each layer begins anew, and nobody bounds the sum.
    await layer("safe", 0.3)
    await layer("comprehensive", 1.0)
    await layer("emergency", 1.0)
    # Done: what comes now would meet an interpreter whose loop, and with it these handlers, is gone.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})


asyncio.run(main())
