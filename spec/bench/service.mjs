// The service's benchmark: from the start to "ready", memory at rest with one and with fifty bundles, from a save to the line
// "reloaded" or "refused". Port is `moontide catalog`, a process of its own. The reference is the start of `moontide version`, in
// the same run.
//
//   node spec/bench/service.mjs     run by the `bench-service` target from the top of the repository, MOONTIDE_BIN set
import { spawn, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';

const bin = process.env.MOONTIDE_BIN ?? 'moontide';
const root = process.cwd();
const work = fs.mkdtempSync(path.join(os.tmpdir(), 'moontide-bench.'));
const ms = (from) => Number(process.hrtime.bigint() - from) / 1e6;
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const line = (stream, test) => new Promise((resolve) => {
  let text = '';
  const take = (chunk) => {
    text += chunk;
    const hit = text.split('\n').slice(0, -1).find(test);
    if (hit !== undefined) { stream.off('data', take); resolve(hit); }
  };
  stream.on('data', take);
});
const agent = new http.Agent({ keepAlive: true });
const get = (url) => new Promise((resolve, reject) => {
  http.get(url, { agent }, (res) => {
    let body = '';
    res.on('data', (c) => { body += c; }).on('end', () => resolve({ status: res.statusCode, body }));
  }).on('error', reject);
});

async function start(bundles, args = [], env = {}) {
  const began = process.hrtime.bigint();
  const child = spawn(bin, ['run', ...bundles, ...args], { cwd: work, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env,
    APPLICATION__PORT: '0', MOONTIDE__ADMIN__LISTEN: '127.0.0.1:0', OCEAN__PORT__BASE_URL: port, OCEAN__PORT__CLIENT_ID: 'bench',
    OCEAN__PORT__CLIENT_SECRET: 'a-secret-of-the-bench', ...env } });
  child.stderr.setEncoding('utf8');
  child.stdout.setEncoding('utf8');
  child.stderr.resume();
  const admin = (await line(child.stdout, (l) => l.startsWith('listening'))).match(/admin (\S+)/)[1];
  while ((await get(`${admin}/health/ready`)).status !== 200);
  return { child, admin, ready: ms(began) };
}
const stop = (run) => new Promise((resolve) => { run.child.on('exit', resolve); run.child.kill('SIGTERM'); });
async function rest(run, count) {
  for (;;) {
    const status = JSON.parse((await get(`${run.admin}/status`)).body);
    if (status.bundles.every((b) => b.last_resync && b.resync.state === 'idle')) {
      for (const b of status.bundles)
        if (b.last_resync.result !== 'complete') throw new Error(`${b.name}: ${JSON.stringify(b.last_resync)}`);
      break;
    }
    await new Promise((r) => setTimeout(r, 50));
  }
  const kb = Number(fs.readFileSync(`/proc/${run.child.pid}/status`, 'utf8').match(/RssAnon:\s+(\d+)/)[1]);
  return `${count} bundle${count > 1 ? 's' : ''}: ${(kb / 1024).toFixed(1)} MB RssAnon at rest after a resync`;
}
const copies = (from, count) => {
  const env = {};
  const folders = Array.from({ length: count }, (_, i) => {
    const to = path.join(work, `${path.basename(from)}-${count}-${i}`);
    fs.cpSync(from, to, { recursive: true });
    env[`MOONTIDE__BUNDLES__${path.basename(to).toUpperCase().replace(/[^A-Z0-9]/g, '_')}__INTEGRATION__IDENTIFIER`] = path.basename(to);
    return to;
  });
  return { folders, env };
};

const catalog = spawn(bin, ['catalog', '--listen', '127.0.0.1:0', '--db', path.join(work, 'catalog.db')]);
catalog.stdout.setEncoding('utf8');
const port = (await line(catalog.stdout, (l) => l.startsWith('listening'))).split(' ')[1];

const plain = [], ready = [];
const hello = copies(path.join(root, 'examples/hello'), 1);
for (let i = 0; i < 15; i++) {
  const began = process.hrtime.bigint();
  execFileSync(bin, ['version']);
  plain.push(ms(began));
  const run = await start(hello.folders, [], hello.env);
  ready.push(run.ready);
  await rest(run, 1);
  await stop(run);
}
console.log(`start to ready, examples/hello: ${median(ready).toFixed(1)} ms (median of ${ready.length}, most ${Math.max(...ready).toFixed(1)});` +
  ` ${(median(ready) / median(plain)).toFixed(1)} x moontide version (${median(plain).toFixed(1)} ms)`);

for (const count of [1, 50]) {
  const { folders, env } = copies(path.join(root, 'examples/hello'), count);
  const run = await start(folders, [], env);
  console.log(`${await rest(run, count)}; all of them ready after ${run.ready.toFixed(0)} ms`);
  await stop(run);
}

const { folders: [github], env } = copies(path.join(root, 'integrations/github'), 1);
const run = await start([github], ['--watch'], { ...env, OCEAN__INTEGRATION__CONFIG__GITHUB_ORGANIZATION: 'none',
  OCEAN__INTEGRATION__CONFIG__GITHUB_HOST: port, OCEAN__EVENT_LISTENER__TYPE: 'WEBHOOKS_ONLY' });
const mapping = path.join(github, '.port/resources', fs.readdirSync(path.join(github, '.port/resources')).find((f) => f.startsWith('port-app')));
const main = path.join(github, 'main.lua');
const lua = fs.readFileSync(main, 'utf8'), yaml = fs.readFileSync(mapping, 'utf8');
const cases = {
  'Lua, reloaded': (i) => [main, `${lua}-- ${i}\n`],
  'Lua, refused': (i) => [main, `${lua}x = = ${i}\n`],
  'mapping, reloaded': (i) => [mapping, yaml.replace(/(title: )\S.*/, `$1'"${i}" + (.name // "" | tostring)'`)],
  'mapping, refused': (i) => [mapping, yaml.replace(/(title: )\S.*/, `$1.name | nothing${i}`)],
};
for (const [name, save] of Object.entries(cases)) {
  const times = [];
  for (let i = 0; i < 10; i++) {
    const said = line(run.child.stderr, (l) => /\b(reloaded|refused) /.test(l));
    const began = process.hrtime.bigint();
    fs.writeFileSync(...save(i));
    const text = await said;
    if (!text.includes(` ${name.split(' ')[1]} `)) throw new Error(text);
    times.push(ms(began));
  }
  fs.writeFileSync(main, lua);
  fs.writeFileSync(mapping, yaml);
  await line(run.child.stderr, (l) => / (reloaded|refused|unchanged) /.test(l));
  console.log(`save to line, integrations/github, ${name}: ${median(times).toFixed(0)} ms (most ${Math.max(...times).toFixed(0)});` +
    ` ${(median(times) / median(plain)).toFixed(0)} x moontide version`);
}
await stop(run);
catalog.kill('SIGKILL');
fs.rmSync(work, { recursive: true });
process.exit(0);
