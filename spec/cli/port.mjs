// Port as doctor may find it: port.mjs NAME=VALUE...
//   token=200|401|garbage   what POST /v1/auth/access_token gives
//   integration=404|200|403 what GET /v1/integration/ID gives
//   probe=404|301|503       what the first, unauthenticated GET gives
//   skew=SECONDS            added to the Date header; "none": no header
//   delay=MS                before an unauthenticated GET's answer; "never": no answer at all
// First line: "listening URL". It answers as a proxy as well: by the path of an absolute URL.
import http from 'node:http';

const options = { token: '200', integration: '404', probe: '405', skew: '0', delay: '0' };
for (const argument of process.argv.slice(2)) {
  const [name, value] = argument.split('=');
  options[name] = value;
}

function answer(request, response) {
  const path = request.url.replace(/^http:\/\/[^/]*/, '');
  let status = Number(options.integration);
  let body = '{"ok":false,"message":"no such thing"}';
  if (request.method === 'POST' && path === '/v1/auth/access_token') {
    status = options.token === 'garbage' ? 200 : Number(options.token);
    body = options.token === 'garbage' ? '<html>'
      : status === 200 ? '{"ok":true,"accessToken":"t0ken-t0ken","tokenType":"Bearer","expiresIn":3600}'
        : '{"ok":false,"message":"invalid credentials"}';
  } else if (!request.headers.authorization) {
    status = Number(options.probe);
  }
  const headers = { 'content-type': 'application/json' };
  if (status >= 300 && status < 400) headers.location = 'https://elsewhere.example/';
  response.sendDate = false;
  if (options.skew !== 'none') headers.date = new Date(Date.now() + Number(options.skew) * 1000).toUTCString();
  response.writeHead(status, headers).end(body);
}

const server = http.createServer((request, response) => {
  request.resume();
  if (options.delay === 'never') return;
  const first = request.method === 'GET' && !request.headers.authorization;
  setTimeout(answer, first ? Number(options.delay) : 0, request, response);
});
server.listen(0, '127.0.0.1', () => console.log(`listening http://127.0.0.1:${server.address().port}`));
