// A server that fails on request, for the specs of the HTTP client. Prints "listening URL" first.
//
//   node faults.mjs [--tls KEY CERT]
//
// The path says what happens; every answer is JSON {"ok":true,…} unless it says otherwise.
//   /seq/503,429,200      these statuses, one a request to this very URL; the last one stays
//        ?h=Name:value    header of the answers that are not 200 (repeatable), ?ok=Name:value of those that are;
//                         {epoch+2} {epochms+2} {date+2} {iso+2} in a value: that moment, so many seconds from now
//        ?body=text       body of a 200
//   /reset /truncate /nothing /garbage /stall /stallbody /badgzip /refuse   this fault ?times=N (1) requests long, then 200
//   /slow?ms=50           the answer comes so much later            /chunked /gzip /bomb?mb=N /big?kb=N
//   /redirect?to=URL&status=302   /loop   /chain/5   /nolocation
//   /links                two Link headers                          /bigheaders?kb=N   /longheader?kb=N   /folded
//   /hold                 answered when /release is asked           /early
//   /reuse                answered; the next request on that connection is not, the connection is closed
//   /__log                what was asked: [{ n, ms, method, url, path, headers, body, conn, active, version }], oldest first
import { createServer } from 'node:http'
import { createSecureServer } from 'node:http2'
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'

const [, , flag, key, cert] = process.argv
const started = Date.now()
const log = []
const hits = new Map()
const conns = new WeakMap()
const dying = new WeakSet()
let connCount = 0
let active = 0
let held = []

const moment = (text) =>
  text.replace(/\{(epoch|epochms|date|iso)([+-]\d+(?:\.\d+)?)\}/g, (_, kind, seconds) => {
    const at = new Date(Date.now() + Number(seconds) * 1000)
    return { epoch: Math.ceil(at / 1000), epochms: +at, date: at.toUTCString(), iso: at.toISOString() }[kind]
  })

const headersOf = (list) => {
  const headers = {}
  for (const line of list) {
    const colon = line.indexOf(':')
    headers[line.slice(0, colon)] = moment(line.slice(colon + 1).trim())
  }
  return headers
}

const json = (res, status, value, headers = {}) => {
  const body = typeof value === 'string' ? value : JSON.stringify(value)
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers })
  res.end(body)
}

const number = (url, name, otherwise) => Number(url.searchParams.get(name) ?? otherwise)
const big = JSON.stringify({ ok: true, fill: 'x'.repeat(40000) })

const faults = {
  reset: (res) => {
    res.writeHead(200, { 'content-length': big.length })
    res.write(big.slice(0, 12000), () => setTimeout(() => res.socket.resetAndDestroy(), 20))
  },
  truncate: (res) => {
    res.writeHead(200, { 'content-length': big.length })
    res.write(big.slice(0, 12000), () => res.socket.end())
  },
  nothing: (res) => res.socket.destroy(),
  refuse: (res) => res.socket.resetAndDestroy(),
  garbage: (res) => res.socket.end('this is no HTTP at all\r\n\r\n'),
  stall: () => {},
  stallbody: (res) => {
    res.writeHead(200, { 'content-length': big.length })
    res.write(big.slice(0, 100))
  },
  badgzip: (res) => {
    const body = gzipSync(big)
    body.fill(0xff, 12, 40)
    res.writeHead(200, { 'content-encoding': 'gzip', 'content-length': body.length })
    res.end(body)
  },
  notjson: (res) => json(res, 200, '<html>busy</html>', { 'content-type': 'text/html' }),
  empty: (res) => json(res, 200, ''),
}

const answer = async (req, res, body) => {
  const url = new URL(req.url, 'http://here')
  const [, name, arg] = url.pathname.split('/')
  const hit = hits.get(req.url) ?? 0
  if (name === '__log') return json(res, 200, log)
  hits.set(req.url, hit + 1)
  const base = req.url.startsWith('http') ? { proxied: true } : {}
  if (faults[name]) {
    if (hit < number(url, 'times', 1)) return faults[name](res)
    return json(res, 200, big)
  }
  switch (name) {
    case 'seq': {
      const statuses = arg.split(',').map(Number)
      const status = statuses[Math.min(hit, statuses.length - 1)]
      const good = status === 200
      const value = good && url.searchParams.has('body') ? url.searchParams.get('body') : { ok: good, hit }
      return json(res, status, value, headersOf(url.searchParams.getAll(good ? 'ok' : 'h')))
    }
    case 'slow':
      return setTimeout(() => json(res, 200, { ok: true }), number(url, 'ms', 50))
    case 'chunked':
      res.writeHead(200)
      for (let i = 0; i < 20; i++) res.write('0123456789')
      return res.end()
    case 'gzip': {
      const zipped = gzipSync(big)
      res.writeHead(200, { 'content-encoding': 'gzip', 'content-length': zipped.length })
      return res.end(zipped)
    }
    case 'bomb': {
      const zipped = gzipSync(Buffer.alloc(number(url, 'mb', 10) << 20))
      res.writeHead(200, { 'content-encoding': 'gzip', 'content-length': zipped.length })
      return res.end(zipped)
    }
    case 'big':
      return json(res, 200, 'y'.repeat(number(url, 'kb', 1) << 10))
    case 'redirect':
      return json(res, number(url, 'status', 302), { moved: true }, { location: url.searchParams.get('to') })
    case 'nolocation':
      return json(res, 302, { moved: true })
    case 'loop':
      return json(res, 302, {}, { location: `/loop?n=${number(url, 'n', 0) + 1}` })
    case 'chain':
      return Number(arg) ? json(res, 302, {}, { location: `../chain/${arg - 1}` }) : json(res, 200, { ok: true, end: true })
    case 'links':
      res.setHeader('Link', ['<https://api.w.org/>; rel="https://api.w.org/"', '</links?page=2>; rel="next"'])
      res.setHeader('X-Twice', ['one', 'two'])
      return json(res, 200, { ok: true })
    case 'bigheaders': {
      const headers = {}
      for (let i = 0; i < number(url, 'kb', 1); i++) headers[`X-${i}`] = 'z'.repeat(1000)
      return json(res, 200, { ok: true }, headers)
    }
    case 'longheader':
      return json(res, 200, { ok: true }, { 'X-Long': 'z'.repeat(number(url, 'kb', 1) << 10) })
    case 'folded':
      return res.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Folded: one\r\n  two\r\nX-Odd:\tt\x01b \r\nConnection: close\r\n\r\nok')
    case 'early': // an informational answer with headers of its own comes first
      res.writeEarlyHints({ link: '</style.css>; rel=preload' })
      return json(res, 200, { ok: true })
    case 'hold':
      return held.push(() => json(res, 200, { ok: true }))
    case 'release':
      held.forEach((go) => go())
      held = []
      return json(res, 200, { ok: true })
    case 'reuse':
      dying.add(res.socket)
      return json(res, 200, { ok: true })
    default:
      return json(res, 200, { ok: true, method: req.method, body, ...base })
  }
}

const onRequest = (req, res) => {
  const conn = req.stream?.session?.socket ?? req.socket
  const id = req.stream?.session ?? conn
  if (!conns.has(id)) conns.set(id, ++connCount)
  active++
  res.once('close', () => active--)
  res.on('error', () => {})
  let body = ''
  req.setEncoding('latin1')
  req.on('error', () => {})
  req.on('data', (part) => (body += part))
  const entry = { n: log.length + 1, ms: Date.now() - started, method: req.method, url: req.url, active, conn: conns.get(id),
    path: req.url.split('?')[0], headers: req.headers, version: req.httpVersion }
  if (!req.url.startsWith('/__log')) log.push(entry)
  if (dying.has(conn)) return conn.destroy()
  req.on('end', () => {
    entry.body = body.length > 2000 ? `${body.length} bytes` : body
    answer(req, res, entry.body).catch((error) => json(res, 500, { error: String(error) }))
  })
}

const server = flag === '--tls'
  ? createSecureServer({ allowHTTP1: true, key: readFileSync(key), cert: readFileSync(cert) }, onRequest)
  : createServer({ maxHeaderSize: 1 << 20, keepAliveTimeout: 60000 }, onRequest)
server.on('connect', (req, socket) => {
  log.push({ n: log.length + 1, ms: Date.now() - started, method: 'CONNECT', url: req.url, headers: req.headers })
  socket.end('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n')
})
server.on('clientError', (error, socket) => socket.destroy())
server.on('sessionError', () => {})
server.on('tlsClientError', () => {})
server.listen(0, '127.0.0.1', () => console.log(`listening ${flag === '--tls' ? 'https' : 'http'}://127.0.0.1:${server.address().port}`))
