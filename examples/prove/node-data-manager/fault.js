// Monitors two exchanges. On a stop it closes the exchanges; its data manager goes on, and with it the process.
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
    // Fault: nobody closes the data manager.
  });
}
console.log('ready');
