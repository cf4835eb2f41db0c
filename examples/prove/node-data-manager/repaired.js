// Monitors two exchanges. On a stop it closes the exchanges and its data manager.
'use strict';

class Poller {
  constructor(every) {
    this.timer = setInterval(() => {}, every);
  }
  close() {
    clearInterval(this.timer);
  }
}

const exchanges = [new Poller(50), new Poller(70)];
const manager = new Poller(100);

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    console.log('stopping');
    for (const exchange of exchanges) exchange.close();
    manager.close();
  });
}
console.log('ready');
