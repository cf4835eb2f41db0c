// Saves its state on a stop, to a disk that is full. It writes that down, and ends with 0: whoever started it takes the state for saved.
'use strict';
const fs = require('node:fs');

const state = process.argv[2] ?? '/dev/full';

function save() {
  try {
    fs.writeFileSync(state, '{"open": 3}\n');
  } catch (error) {
    console.error(`cannot save ${state}: ${error.code}`);
  }
}

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    save();
    // Fault: whatever came of it.
    process.exit(0);
  });
}
setInterval(() => {}, 1000);
console.log('ready');
