// Takes records in and writes them in batches, every 50 ms. On a stop the batch that is open is lost.
'use strict';
const fs = require('node:fs');

fs.mkdirSync('data', { recursive: true });
const accepted = fs.openSync('data/accepted', 'a');
let batch = [];
let number = 0;

function write() {
  if (batch.length === 0) return;
  fs.appendFileSync('data/stored', batch.join(''));
  batch = [];
}

// Fault: it leaves at once, and what it has accepted is in memory only.
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));

setInterval(() => {
  const record = `${++number}\n`;
  batch.push(record);
  // What the sender was told: it will not send this again.
  fs.writeSync(accepted, record);
}, 5);
setInterval(write, 50);
console.log('ready');
