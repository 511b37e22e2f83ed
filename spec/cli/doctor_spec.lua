-- moontide doctor: what it finds wrong, and that it says what to do. Each check is seen failing and passing.
local support = require "spec.support"
local json = support.json
local driver = support.driver "doctor_driver"

local HELLO = support.root .. "/examples/hello"
-- Nothing of the machine that runs the specs: neither its proxies nor its certificates.
local QUIET = { SSL_CERT_FILE = false, SSL_CERT_DIR = false, http_proxy = false, HTTP_PROXY = false,
  https_proxy = false, HTTPS_PROXY = false, all_proxy = false, ALL_PROXY = false, no_proxy = false, NO_PROXY = false,
  APPLICATION__PORT = "0", MOONTIDE__ADMIN__LISTEN = "127.0.0.1:0" }

local function merged(more)
  local env = {}
  for _, from in ipairs { QUIET, more or {} } do
    for name, value in pairs(from) do
      env[name] = value
    end
  end
  return env
end

-- doctor(env, bundle…) → { code, checks = { {check, result, text}… }, text of all }
local function doctor(env, ...)
  local options = type(env) == "table" and env.options or {}
  env.options = nil
  local command = options.command or { support.bin, "doctor", "--json", ... }
  local result = support.run(command, { env = merged(env), cwd = options.cwd or support.tmpdir(), timeout = 30 })
  assert(result.code <= 1, result.err .. result.out)
  local report = json.decode(result.out)
  assert.are.equal(result.code == 0, report.ok)
  return { code = result.code, checks = report.checks, report = report, out = result.out }
end

-- The text of the first line of that check and verdict; raises when there is none.
local function line(found, check, verdict)
  for _, one in ipairs(found.checks) do
    if one.check == check and one.result == verdict then
      return one.text
    end
  end
  error(("no %s of %s in\n%s"):format(verdict, check, found.out:gsub("},", "},\n")), 2)
end

local function has(found, check, verdict, pattern)
  assert.matches(pattern, line(found, check, verdict))
  assert.are.equal(found.code, found.report.failed > 0 and 1 or 0)
end

local function port(...)
  local server = support.spawn { "node", support.root .. "/spec/cli/port.mjs", ... }
  server.url = assert(server.line and server.line:match "listening (%S+)", "port.mjs did not start")
  return server
end

local function at(url, more)
  local env = { OCEAN__PORT__BASE_URL = url, OCEAN__PORT__CLIENT_ID = "hunter1-id", OCEAN__PORT__CLIENT_SECRET =
    "hunter2-secret" }
  for name, value in pairs(more or {}) do
    env[name] = value
  end
  return env
end

local function bundle(files, name)
  local dir = support.tmpdir() .. "/" .. (name or "thing")
  support.write(dir .. "/main.lua", "")
  support.write(dir .. "/.port/resources/blueprints.json", "[]")
  for file, text in pairs(files or {}) do
    support.write(dir .. "/" .. file, text)
  end
  return dir
end

describe("moontide doctor", function()
  it("finds nothing wrong with an example and a catalog that answers", function()
    local catalog = support.spawn { support.bin, "catalog", "--listen", "127.0.0.1:0" }
    local found = doctor(at(catalog.line:match "listening (%S+)"), HELLO)
    catalog:stop()
    assert.are.equal(0, found.code, found.out)
    has(found, "bundle", "ok", "^hello .*loads$")
    has(found, "config", "ok", "^complete: integration my%-hello%-integration, event listener POLLING$")
    has(found, "port", "ok", "^http://127%.0%.0%.1:%d+ answers in %d+ ms %(127%.0%.0%.1, name .*without TLS%)$")
    has(found, "credentials", "ok", "Port takes them; integration my%-hello%-integration is not known there yet")
    for _, name in ipairs { "moontide", "Lua", "libcurl", "libevent", "libjq", "SQLite", "libsodium", "libyaml",
      "libarchive" } do
      has(found, name, "ok", "^%d")
    end
    has(found, "libcurl", "ok", "%(%w+/[%d.]+%)")
  end)

  it("prints one aligned line a check, then the sum; colours on a terminal unless NO_COLOR is set", function()
    local result = support.run({ support.bin, "doctor", HELLO }, { env = merged(), cwd = support.tmpdir() })
    assert.are.equal(0, result.code, result.out)
    local at_column
    for text in result.out:gmatch "[^\n]+" do
      local column = text:match "^ok    [%w ]-  +()%S" or text:match "^warn  [%w ]-  +()%S"
      if column then
        at_column = at_column or column
        assert.are.equal(at_column, column, text)
      else
        assert.matches("^0 failed, %d+ warnings, %d+ fine$", text)
      end
    end
    assert.not_matches("\27", result.out)
    local command = { "script", "-qec", support.quote(support.bin) .. " doctor", "/dev/null" }
    local function on_terminal(no_color)
      return support.run(command, { env = merged { NO_COLOR = no_color, TERM = "xterm" }, cwd = support.tmpdir() }).out
    end
    assert.matches("\27%[32mok  \27%[0m  moontide", on_terminal(false))
    assert.matches("ok    moontide", on_terminal "1")
  end)

  it("refuses options that do not exist (exit 2)", function()
    assert.are.equal(2, support.run({ support.bin, "doctor", "--jsn" }).code)
  end)

  it("without a bundle tells what holds for the process, and what the embedded catalog means", function()
    local found = doctor {}
    assert.are.equal(0, found.code, found.out)
    has(found, "config", "ok", "^complete, without a bundle")
    has(found, "port", "ok", "Port is the embedded catalog in %.moontide/catalog%.db; for the real one set "
      .. "OCEAN__PORT__CLIENT_ID")
  end)
end)

describe("the bundle, says doctor,", function()
  it("is none, or does not load, with file and line", function()
    has(doctor({}, "/nowhere/at/all"), "bundle", "fail", "/nowhere/at/all")
    local found = doctor({}, bundle { ["main.lua"] = "local x =\nreturn )\n" })
    has(found, "bundle", "fail", "^thing does not load: .*main%.lua:2: .*moontide validate")
    assert.not_matches("traceback", found.out)
  end)

  it("misses a setting, or has one that is not taken", function()
    local dir = bundle { [".port/spec.yaml"] = "configurations: [{name: apiHost, type: url, required: true}]\n" }
    has(doctor({}, dir), "config", "fail", "^apiHost is required and not set: set OCEAN__INTEGRATION__CONFIG__API_HOST")
    local found = doctor({ OCEAN__INTEGRATION__CONFIG__API_HOTS = "x", OCEAN__INTEGRATION__CONFIG__API_HOST =
      "http://127.0.0.1:1" }, dir)
    has(found, "config", "warn", "no configuration api_hots: it is dropped; did you mean apiHost%?")
  end)

  it("is one of several that share what is wrong, which is said once", function()
    local found = doctor({}, bundle(nil, "one"), bundle(nil, "two"))
    assert.are.equal(0, found.code, found.out)
    has(found, "config", "ok", "^one: complete: integration my%-one%-integration")
    assert.matches('"text":"two: complete', found.out)
    assert.are.equal(1, select(2, found.out:gsub('"check":"disk"', "")))
  end)

  it("of several shares a name or a variable with another", function()
    local one, two = bundle(nil, "a-b"), bundle(nil, "a.b")
    local found = doctor({ OCEAN__INTEGRATION__IDENTIFIER = "hunter3", MOONTIDE__BUNDLES__A_C__RUNTIME = "Saas" },
      one, two)
    has(found, "config", "fail", "^a%-b: the process runs several bundles.*; MOONTIDE__BUNDLES__A_B__INTEGRATION__"
      .. "IDENTIFIER for environment variable OCEAN__INTEGRATION__IDENTIFIER$")
    assert.matches("two bundles of this process, a%-b and a%.b, are one A_B", found.out)
    has(found, "config", "warn", "called A_C; did you mean A_B%?")
    assert.not_matches("hunter", found.out)
  end)
end)

describe("a packed bundle, says doctor,", function()
  it("loads, unless it is not what the trusted key signed", function()
    local dir = support.tmpdir()
    local function moontide(...)
      local result = support.run({ support.bin, ... }, { cwd = dir })
      assert.are.equal(0, result.code, result.err)
    end
    moontide("pack", HELLO, "-o", dir .. "/hello.mtb")
    moontide("keygen", dir .. "/key")
    has(doctor({}, dir .. "/hello.mtb"), "bundle", "ok", "^hello .*loads$")
    has(doctor({}, dir .. "/hello.mtb", "--trust", dir .. "/key.pub"), "bundle", "fail", "hello%.mtb.*sign")
  end)
end)

describe("Port, says doctor,", function()
  it("refuses the credentials, which are not shown", function()
    local server = port "token=401"
    local found = doctor(at(server.url), HELLO)
    has(found, "port", "ok", "answers in")
    has(found, "credentials", "fail", "refused the credentials with status 401: invalid credentials .*CLIENT_SECRET")
    assert.not_matches("hunter", found.out)
  end)

  it("is something else than Port's API", function()
    local server = port "token=garbage"
    has(doctor(at(server.url), HELLO), "credentials", "fail", "answered the request for a token with something else")
    server = port "probe=301"
    has(doctor(at(server.url), HELLO), "port", "fail", "answers with a redirect %(301%)")
  end)

  it("takes the credentials, and knows the integration, or forbids it", function()
    local server = port "integration=200"
    local found = doctor(at(server.url), HELLO)
    has(found, "credentials", "ok", "integration my%-hello%-integration is known there")
    assert.not_matches("t0ken", found.out)
    server = port "integration=403"
    has(doctor(at(server.url), HELLO), "credentials", "fail", "status 403 .*right organization")
  end)

  it("does not listen, or has no address", function()
    local found = doctor(at("http://127.0.0.1:" .. support.free_port()), HELLO)
    has(found, "port", "fail", "cannot connect: Connection refused: check OCEAN__PORT__BASE_URL")
    has(doctor(at "http://nowhere.invalid", HELLO), "port", "fail", "http://nowhere%.invalid: cannot resolve the name")
  end)

  it("does not speak TLS", function()
    local server = port()
    has(doctor(at((server.url:gsub("^http", "https"))), HELLO), "port", "fail", "no answer %(127%.0%.0%.1.*GET https")
  end)

  it("answers slowly, or never: ten seconds are enough for all that is dead #slow", function()
    local slow, dead = port "delay=3100", port "delay=never"
    has(doctor(at(slow.url), HELLO), "port", "warn", "answers slowly, in 3%d%d%d ms")
    local spec = { "configurations:" }
    for i = 1, 8 do
      spec[#spec + 1] = ("  - {name: h%d, type: url, default: '%s/%d'}"):format(i, dead.url, i)
    end
    local before = os.time()
    local found = doctor(at(dead.url), bundle { [".port/spec.yaml"] = table.concat(spec, "\n") })
    assert.is_true(os.difftime(os.time(), before) <= 10)
    has(found, "port", "fail", "no answer .*timed out")
    assert.are.equal(8, select(2, found.out:gsub('"check":"host","result":"warn"', "")))
  end)

  it("has half of its credentials", function()
    has(doctor({ OCEAN__PORT__CLIENT_ID = "abcdef" }, HELLO), "config", "fail", "set OCEAN__PORT__CLIENT_SECRET too")
  end)

  it("has another time", function()
    local function clock(skew)
      return doctor(at(port("skew=" .. skew).url), HELLO)
    end
    has(clock "0", "clock", "ok", "within %d s of Port's")
    has(clock "40", "clock", "ok", "within [34]%d s of Port's")
    has(clock "120", "clock", "warn", "^1[12]%d s behind Port's: let NTP set it")
    has(clock "-120", "clock", "warn", "^1[12]%d s ahead of Port's: let NTP")
    has(clock "-400", "clock", "fail", "^[34]%d%d s ahead of Port's, so that tokens and certificates seem expired")
    has(clock "none", "clock", "ok", "not compared")
  end)
end)

describe("a third-party host, says doctor,", function()
  it("answers or does not, which fails nothing", function()
    local server = port()
    local dead = support.free_port()
    local dir = bundle { [".port/spec.yaml"] = "configurations:\n  - {name: a, type: url}\n  - {name: b, type: url}\n" }
    local found = doctor({ OCEAN__INTEGRATION__CONFIG__A = server.url .. "/x", OCEAN__INTEGRATION__CONFIG__B =
      "http://127.0.0.1:" .. dead }, dir)
    assert.are.equal(0, found.code, found.out)
    has(found, "host", "ok", "^" .. server.url:gsub("%p", "%%%0") .. "/x answers in")
    has(found, "host", "warn", "127%.0%.0%.1:" .. dead .. ".*cannot connect.*is a proxy needed%?")
  end)
end)

describe("a proxy, says doctor,", function()
  it("cannot be used as it is written, and no password is shown", function()
    has(doctor { HTTPS_PROXY = "ftp://me:hunter2@p.example:1" }, "proxy", "fail",
      "^HTTPS_PROXY cannot be used: its scheme is none of http")
    local found = doctor { http_proxy = "http://me:hunter2@:x" }
    has(found, "proxy", "fail", "^http_proxy cannot be used: it is not")
    assert.not_matches("hunter", found.out)
  end)

  it("is not reached", function()
    local dead = support.free_port()
    local found = doctor { ALL_PROXY = "socks5h://me:hunter2@127.0.0.1:" .. dead }
    has(found, "proxy", "fail", "^ALL_PROXY: cannot reach 127%.0%.0%.1:" .. dead .. ": Connection refused")
    assert.not_matches("hunter", found.out)
    has(doctor { HTTP_PROXY = "nowhere.invalid:3128" }, "proxy", "fail", "^HTTP_PROXY: cannot reach nowhere")
  end)

  it("stands before Port", function()
    local proxy = port()
    local found = doctor(at("http://port.invalid", { http_proxy = proxy.url }), HELLO)
    has(found, "proxy", "ok", "^http_proxy: 127%.0%.0%.1:%d+ accepts connections")
    has(found, "port", "ok", "http://port%.invalid answers in %d+ ms %(through a proxy, without TLS%)")
    has(found, "credentials", "ok", "Port takes them")
  end)

  it("has exceptions that match nothing", function()
    local proxy = port()
    local found = doctor { HTTP_PROXY = proxy.url, NO_PROXY = "localhost, *.example.com,https://x.example,*" }
    has(found, "proxy", "warn", "^NO_PROXY: %*%.example%.com matches nothing: write a domain without the %*")
    assert.matches("https://x%.example matches nothing: write the host without a scheme", found.out)
    assert.are.equal(2, found.report.warnings - select(2, found.out:gsub('"check":"[^"p]%w+","result":"warn"', "")))
  end)
end)

describe("certificates, says doctor,", function()
  it("are named and cannot be used", function()
    local dir = support.tmpdir()
    support.write(dir .. "/text", "not a certificate\n")
    has(doctor { SSL_CERT_FILE = dir .. "/none.pem" }, "certificates", "fail", "none%.pem: No such file")
    has(doctor { SSL_CERT_FILE = dir }, "certificates", "fail", "SSL_CERT_FILE=.*Is a directory")
    has(doctor { SSL_CERT_FILE = dir .. "/text" }, "certificates", "fail", "it holds no certificate in PEM: no https")
    has(doctor { SSL_CERT_DIR = dir .. "/none" }, "certificates", "fail", "SSL_CERT_DIR=.*No such file")
    has(doctor { SSL_CERT_DIR = dir }, "certificates", "fail", "no certificate under its hash %(run openssl rehash")
    support.write(dir .. "/0123abcd.0", "")
    support.write(dir .. "/ca.pem", "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n")
    local found = doctor { SSL_CERT_DIR = dir, SSL_CERT_FILE = dir .. "/ca.pem" }
    assert.are.equal(0, found.code, found.out)
    has(found, "certificates", "ok", "^SSL_CERT_FILE=.* instead of the system's$")
  end)

  it("are missing from the system", function()
    local dir = support.tmpdir()
    local function default(file)
      return support.run({ driver, "certificates", file, dir }, { env = { SSL_CERT_FILE = "", SSL_CERT_DIR = "" } }).out
    end
    assert.matches("^2 certificates: the system has none %(/nowhere%.pem%).*install its package ca%-certificates",
      default "/nowhere.pem")
    assert.matches("^0 certificates: the system's, ", default(support.write(dir .. "/a",
      "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")))
    support.write(dir .. "/0123abcd.0", "")
    assert.matches("^0 certificates: the system's, " .. dir:gsub("%p", "%%%0"), default "/nowhere.pem")
  end)
end)

describe("the state file, says doctor,", function()
  local function state(path, more)
    local env = more or {}
    env.OCEAN__STATE_FILE = path
    return doctor(env, HELLO)
  end

  it("will be made where it can be, and is not made by doctor", function()
    local cwd = support.tmpdir()
    local found = doctor({ options = { cwd = cwd } }, HELLO)
    has(found, "state", "ok", "^%.moontide/state%.db will be made$")
    has(found, "disk", "ok", "GiB are free in %.$")
    assert.are.equal("", support.run({ "ls", "-A", cwd }).out)
  end)

  it("is held by another process", function()
    local cwd = support.tmpdir()
    assert.are.equal(0, support.run({ support.bin, "resync", HELLO }, { env = merged(), cwd = cwd }).code)
    has(doctor({ options = { cwd = cwd } }, HELLO), "state", "ok", "can be read and is not locked")
    local lock = support.run({ "sh", "-c", "ls .moontide/*.lock" }, { cwd = cwd }).out:gsub("%s", "")
    local holder = support.spawn({ "flock", "--no-fork", lock, "sh", "-c", "echo held; exec sleep 60" }, { cwd = cwd })
    assert.are.equal("held", holder.line)
    local found = doctor({ options = { cwd = cwd } }, HELLO)
    has(found, "state", "fail", "my%-hello%-integration is being resynced already .* by process %d+ since")
    holder:stop "KILL"
  end)

  it("is of a newer version, of something else, or damaged", function()
    local dir = support.tmpdir()
    support.run { "sqlite3", dir .. "/new.db", "create table x(a); pragma user_version = 99" }
    has(state(dir .. "/new.db"), "state", "fail", "newer version of moontide .*%-%-state")
    support.run { "sqlite3", dir .. "/other.db", "create table x(a)" }
    has(state(dir .. "/other.db"), "state", "fail", "is a database of something else")
    local text = ("no database"):rep(1000)
    support.write(dir .. "/bad.db", text)
    local found = state(dir .. "/bad.db")
    assert.are.equal(0, found.code, found.out)
    has(found, "state", "warn", "bad%.db is damaged: the next resync moves it aside")
    assert.are.equal(text, support.read(dir .. "/bad.db"))
  end)

  it("cannot be written", function()
    local dir = support.tmpdir()
    support.write(dir .. "/file", "")
    has(state(dir .. "/file/state.db"), "state", "fail", "/file is no folder; give another one with OCEAN__STATE_FILE")
    has(state "/proc/moontide/state.db", "state", "fail", "^cannot write in /proc: .*OCEAN__STATE_FILE")
    local full = "(ulimit -f 0; exec " .. support.quote(support.bin) .. " doctor) | cat"
    assert.matches("FAIL  state +cannot write in %.: File too large", support.run({ "sh", "-c", full },
      { env = merged(), cwd = dir }).out)
  end)

  it("is another user's", function()
    local dir = support.tmpdir()
    local file = support.write(dir .. "/state.db", "")
    local who = support.run({ "id", "-u" }).out:gsub("%s", "")
    os.execute("chmod 777 " .. dir .. " && chmod 444 " .. file)
    local command = { support.bin, "doctor", "--json", "--state", file }
    if who == "0" then -- whom no permission stops
      command = { "setpriv", "--reuid=65534", "--clear-groups", table.unpack(command) }
    end
    has(doctor { options = { command = command, cwd = dir } }, "state", "fail",
      "state%.db: Permission denied: make it writable for this user")
  end)

  it("has little room, or none", function()
    local small = "mount -t tmpfs -o size=%s none /mnt && cd /mnt && exec " .. support.quote(support.bin)
      .. " doctor --json"
    if not os.execute "unshare -m mount -t tmpfs none /mnt 2>/dev/null" then
      pending "only root can make a small file system"
      return
    end
    for size, wanted in pairs { ["100m"] = { "warn", "^%d+ MiB are free in %.: make room" }, ["8m"] = { "fail",
      "^%d MiB are free" } } do
      local command = { "unshare", "-m", "sh", "-c", small:format(size) }
      has(doctor { options = { command = command } }, "disk", wanted[1], wanted[2])
    end
  end)
end)

describe("a listener's port, says doctor,", function()
  it("is in use, or the other listener's", function()
    local server = port()
    local used = server.url:match ":(%d+)$"
    has(doctor { APPLICATION__PORT = used }, "public listener", "fail", "0%.0%.0%.0:" .. used .. " is in use: .*"
      .. "APPLICATION__PORT")
    has(doctor { MOONTIDE__ADMIN__LISTEN = "127.0.0.1:" .. used }, "admin listener", "fail", "is in use: .*"
      .. "MOONTIDE__ADMIN__LISTEN")
    local free = tostring(support.free_port())
    local found = doctor { APPLICATION__PORT = free, MOONTIDE__ADMIN__LISTEN = "0.0.0.0:" .. free }
    has(found, "public listener", "ok", free .. " is free")
    has(found, "admin listener", "fail", "in use")
  end)

  it("is of no address of this machine; or there is none, or any will do", function()
    has(doctor { MOONTIDE__ADMIN__LISTEN = "203.0.113.1:0" }, "admin listener", "fail",
      "cannot listen on 203%.0%.113%.1:0: Cannot assign requested address: set MOONTIDE__ADMIN__LISTEN")
    local found = doctor { MOONTIDE__ADMIN__LISTEN = "" }
    has(found, "admin listener", "ok", "^none")
    has(found, "public listener", "ok", "any free one on 0%.0%.0%.0")
    has(doctor { MOONTIDE__ADMIN__LISTEN = "[127.0.0.1]:0" }, "admin listener", "ok", "any free one on 127")
  end)
end)

describe("limits, says doctor,", function()
  it("on open files are low", function()
    local command = "ulimit -n %d; exec " .. support.quote(support.bin) .. " doctor --json"
    has(doctor { options = { command = { "sh", "-c", command:format(512) } } }, "files", "warn",
      "^at most 512 open at once.*LimitNOFILE")
    has(doctor { options = { command = { "sh", "-c", command:format(1024) } } }, "files", "ok", "^1024 may be open")
  end)

  local function limits(files)
    local root = support.tmpdir()
    for name, text in pairs(files) do
      support.write(root .. name, text)
    end
    return support.run({ driver, "limits", root }).out
  end

  it("of the control group and those above it are low", function()
    local out = limits { ["/proc/self/cgroup"] = "0::/a/b\n", ["/sys/fs/cgroup/a/b/memory.max"] = "max\n",
      ["/sys/fs/cgroup/a/memory.max"] = "33554432\n", ["/sys/fs/cgroup/a/b/cpu.max"] = "20000 100000\n",
      ["/sys/fs/cgroup/a/cpu.max"] = "max 100000\n" }
    assert.matches("\n1 memory: its control group grants 32 MiB", out)
    assert.matches("\n1 cpu: its control group grants 0%.2 of a CPU", out)
    out = limits { ["/sys/fs/cgroup/memory.max"] = "536870912\n", ["/sys/fs/cgroup/cpu.max"] = "200000 100000\n" }
    assert.matches("\n0 memory: 512 MiB for its control group", out)
    assert.matches("\n0 cpu: 2 CPUs", out)
    out = limits { ["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = "9223372036854771712\n",
      ["/sys/fs/cgroup/cpu/cpu.cfs_quota_us"] = "10000\n", ["/sys/fs/cgroup/cpu/cpu.cfs_period_us"] = "100000\n" }
    assert.matches("\n0 memory: no limit", out)
    assert.matches("\n1 cpu: its control group grants 0%.1 of a CPU", out)
  end)

  it("of inotify are low, or unknown", function()
    local function inotify(watches, instances)
      return limits { ["/proc/sys/fs/inotify/max_user_watches"] = watches .. "\n",
        ["/proc/sys/fs/inotify/max_user_instances"] = instances .. "\n" }
    end
    assert.matches("\n0 inotify: 8192 watches, 128 instances", inotify(8192, 128))
    assert.matches("\n1 inotify: 100 watches and 128 instances for a user are few .*max_user_watches=65536",
      inotify(100, 128))
    assert.matches("\n1 inotify: 8192 watches and 2 instances", inotify(8192, 2))
    assert.matches("\n1 inotify: its limits .* cannot be read", limits {})
  end)

  it("of descriptors leave no inotify", function()
    local out = support.run({ driver, "limits", "/", "3" }).out
    assert.matches("\n1 inotify: run %-%-watch cannot work: Too many open files", out)
  end)
end)

describe("a library, says doctor,", function()
  local function library(built, loaded)
    return support.run({ driver, "library", built, loaded }).out
  end

  it("is older than the one it was built with, or newer, which is fine", function()
    assert.matches("^1 libx: 7%.9%.1 is loaded, older than the 7%.88%.1 that moontide was built with: upgrade",
      library("7.88.1", "7.9.1"))
    assert.are.equal("0 libx: 8.0, built with 7.88.1\n", library("7.88.1", "8.0"))
    assert.are.equal("0 libx: 2.1.12-stable\n", library("2.1.12-stable", "2.1.12-stable"))
  end)
end)
