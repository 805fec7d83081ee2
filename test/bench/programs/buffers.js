// SPDX-License-Identifier: BSD-2-Clause
//
// What allocates outside of V8's own heap: buffers, text decoding, compression, hashing, regular expressions compiled anew.
'use strict';
const crypto = require('crypto');
const zlib = require('zlib');

let state = 12345;
function pick(n) {
  state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
  return (state >> 8) % n;
}

const kept = new Array(500).fill(null);
let sum = 0;
for (let i = 0; i < 60000; i++) {
  const at = pick(kept.length);
  const size = 5000 + pick(12000);
  const buffer = Buffer.allocUnsafeSlow(size);
  buffer.writeUInt32LE(i, size - 4);
  kept[at] = buffer;
  sum += buffer.readUInt32LE(size - 4) % 7;
  if (i % 20 === 0)
    sum += crypto.createHash('sha1').update(buffer.subarray(0, 64).fill(i & 255)).digest()[0];
  if (i % 100 === 0)
    sum += zlib.deflateRawSync(Buffer.alloc(2000, 'text' + i)).length;
  if (i % 20 === 0)
    sum += new RegExp('([a-z]+)' + i + '(x|y){2,4}').test('abc' + i + 'xyx') ? 1 : 0;
}
console.log(sum);
