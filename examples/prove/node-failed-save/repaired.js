// Saves its state on a stop, to a disk that is full, and says so by its exit status: 74, an error of input or output (sysexits.h).
'use strict';
const fs = require('node:fs');

const state = process.argv[2] ?? '/dev/full';

function save() {
  try {
    fs.writeFileSync(state, '{"open": 3}\n');
    return 0;
  } catch (error) {
    console.error(`cannot save ${state}: ${error.code}`);
    return 74;
  }
}

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(save()));
setInterval(() => {}, 1000);
console.log('ready');
