#!/usr/bin/env node
// What Port's side takes alone: posts entities to a catalog in bulks of 20 on 5 connections, as a resync does, and prints the seconds.
//   node push_bulks.mjs URL BLUEPRINT ENTITIES.ndjson
import fs from 'node:fs';
import http from 'node:http';

const [url, blueprint, file] = process.argv.slice(2);
const lines = fs.readFileSync(file, 'utf8').split('\n').filter(Boolean);
const bodies = [];
for (let i = 0; i < lines.length; i += 20) bodies.push(Buffer.from(`{"entities":[${lines.slice(i, i + 20).join(',')}]}`));
const agent = new http.Agent({ keepAlive: true, maxSockets: 5 });
const { hostname, port } = new URL(url);
const call = (method, path, body, headers) => new Promise((resolve, reject) => {
  const req = http.request({ hostname, port, agent, method, path, headers: { 'content-type': 'application/json',
    'user-agent': 'port-ocean/bench/0/push/exporter', 'content-length': body.length, ...headers } }, res => {
    const chunks = [];
    res.on('data', c => chunks.push(c)).on('end', () => resolve({ status: res.statusCode, text: Buffer.concat(chunks).toString() }));
  });
  req.on('error', reject).end(body);
});
const token = JSON.parse((await call('POST', '/v1/auth/access_token', Buffer.from('{"clientId":"a","clientSecret":"b"}'))).text).accessToken;
const started = process.hrtime.bigint();
let next = 0;
await Promise.all(Array.from({ length: 5 }, async () => {
  while (next < bodies.length) {
    const body = bodies[next++];
    const { status, text } = await call('POST', `/v1/blueprints/${blueprint}/entities/bulk?upsert=true&merge=true&create_missing_related_entities=true&validation_only=false`,
      body, { authorization: `Bearer ${token}` });
    const { errors } = JSON.parse(text);
    if (status >= 300 || (errors && errors.length)) throw new Error(`${status} ${text.slice(0, 300)}`);
  }
}));
console.log(Number(process.hrtime.bigint() - started) / 1e9);
agent.destroy();
