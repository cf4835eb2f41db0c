"""An agent with three layers of cleanup around a client that does not close, and one time limit for all of them."""

import signal

# As long as there is nothing to save, Ctrl+C may end it: an import that is interrupted prints a traceback, or loses the signal.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import asyncio


async def close_client():
    await asyncio.Event().wait()


async def layer(name, end):
    print(f"{name} cleanup", flush=True)
    left = end - asyncio.get_running_loop().time()
    try:
        await asyncio.wait_for(close_client(), max(left, 0))
    except asyncio.TimeoutError:
        print(f"{name} cleanup timed out", flush=True)


async def main():
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    print("ready", flush=True)
    await asked.wait()
    end = loop.time() + 0.1
    for name in ("safe", "comprehensive", "emergency"):
        await layer(name, end)
    # Done: what comes now would meet an interpreter whose loop, and with it these handlers, is gone.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})


asyncio.run(main())
