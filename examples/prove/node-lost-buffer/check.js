// Every record that was accepted is stored.
'use strict';
const fs = require('node:fs');

function lines(name) {
  try {
    return fs.readFileSync(`data/${name}`, 'utf8').split('\n').length - 1;
  } catch {
    return 0;
  }
}

const [accepted, stored] = [lines('accepted'), lines('stored')];
if (accepted !== stored) {
  console.log(`${accepted} records were accepted, ${stored} are stored`);
  process.exit(1);
}
