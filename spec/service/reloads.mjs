#!/usr/bin/env node
// Reloads a bundle again and again, every second time broken: reloads.mjs ADMIN_URL BUNDLE PID COUNT. main.lua is its text of the
// begin with another last line each time. Prints {"reloaded","refused","other","running","early","late","seconds"}: how the reloads
// ended, how many of them while a resync was at work, RssAnon (kB) of the process behind the 1,000th one and before the last. Both are
// the least of eleven readings, 50 reloads apart: what a collector of a Lua state has not gone round to yet is no growth.
import http from 'node:http';
import fs from 'node:fs';

const [admin, bundle, pid] = process.argv.slice(2), count = Number(process.argv[5]);
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const file = `${bundle}/main.lua`, text = fs.readFileSync(file, 'utf8');

function ask(method, path) {
  return new Promise((resolve, reject) => {
    const req = http.request(admin + path, { method, agent }, res => {
      let body = '';
      res.setEncoding('utf8').on('data', d => { body += d; }).on('end', () => resolve({ status: res.statusCode, body: JSON.parse(body) }));
    });
    req.on('error', reject).end();
  });
}

// A moment later: the generation before the last one is closed beside the loop.
async function anonymous() {
  await new Promise((resolve) => setTimeout(resolve, 100));
  return Number(/RssAnon:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
}

console.log('reloading');
const seen = { reloaded: 0, refused: 0, other: 0, running: 0 };
const from = Date.now();
let early = Infinity, late = Infinity;
for (let n = 1; n <= count; n++) {
  const broken = n % 2 === 1;
  fs.writeFileSync(file, text + (broken ? `\nx = = ${n}\n` : `\n-- ${n}\n`));
  const { status, body } = await ask('POST', '/reload');
  const result = body.bundles[0].result;
  if (broken && status === 422 && result === 'refused') seen.refused++;
  else if (!broken && status === 200 && result === 'reloaded') seen.reloaded++;
  else seen.other++;
  if (n % 100 === 0 && (await ask('GET', '/status')).body.bundles[0].resync.state === 'running') seen.running += 100;
  if (n % 50 === 0 && n >= 1000 && n <= 1500) early = Math.min(early, await anonymous());
  if (n % 50 === 0 && n >= count - 500) late = Math.min(late, await anonymous());
}
Object.assign(seen, { early, late });
seen.seconds = (Date.now() - from) / 1000;
console.log(JSON.stringify(seen));
agent.destroy();
