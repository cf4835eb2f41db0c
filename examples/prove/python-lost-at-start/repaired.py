"""A collector that loads its configuration before it runs. A stop during the loading ends the loading."""

import signal
import time


class Collector:
    def __init__(self):
        self.running = True
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)

    def stop(self, *_):
        print("stopping", flush=True)
        self.running = False

    def load(self):
        for _ in range(10):
            if not self.running:
                return
            time.sleep(0.02)

    def run(self):
        if self.running:
            print("ready", flush=True)
        while self.running:
            time.sleep(0.01)


collector = Collector()
collector.load()
collector.run()
