// SPDX-License-Identifier: BSD-2-Clause
// Worker threads with buffers, compression, digests and messages; native memory comes from malloc.
'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const crypto = require('crypto');
const zlib = require('zlib');

function work(seed, rounds) {
  const digest = crypto.createHash('sha256');
  for (let turn = 0; turn < rounds; turn++) {
    const kept = [];
    for (let n = 1; n < 300; n++) {
      const block = Buffer.alloc((n * 7919 + seed * 104729) % 90000, n % 256);
      kept.push(block);
      digest.update(block);
      if (n % 3 === 0) kept.shift();
    }
    const packed = zlib.deflateSync(Buffer.concat(kept), { level: 4 });
    if (!zlib.inflateSync(packed).equals(Buffer.concat(kept))) throw new Error('inflate');
    const table = {};
    for (let n = 0; n < 2000; n++) table[`key${(n * seed) % 977}`] = [n, `value ${n}`.repeat(3)];
    digest.update(JSON.stringify(table));
    digest.update(crypto.pbkdf2Sync(`secret ${seed}`, 'salt', 200, 64, 'sha512'));
  }
  return digest.digest('hex');
}

if (!isMainThread) {
  parentPort.postMessage({ seed: workerData.seed, digest: work(workerData.seed, workerData.rounds) });
} else {
  const rounds = Number(process.argv[2]);
  const results = new Map();
  const start = (seed) => new Promise((resolve, reject) => {
    const worker = new Worker(__filename, { workerData: { seed, rounds } });
    worker.on('message', (m) => results.set(m.seed, m.digest));
    worker.on('error', reject);
    worker.on('exit', resolve);
  });
  (async () => {
    await Promise.all([1, 2, 3, 4].map(start));
    for (let seed = 5; seed < 9; seed++) await start(seed); // one after the other: threads that end and start again
    for (const seed of [...results.keys()].sort((a, b) => a - b)) console.log(seed, results.get(seed));
    console.log('main', work(0, rounds));
  })().catch((e) => { console.error(e); process.exitCode = 1; });
}
