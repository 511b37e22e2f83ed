-- What moontide is delivered as: the Debian package, the systemd unit, the container image and the Helm chart.
local support = require "spec.support"

local build = support.bin:gsub("/bin/[^/]*$", "")
local delivery = support.root .. "/scripts/delivery"

local function has(program)
  return support.run({ "sh", "-c", "command -v " .. program }).code == 0
end

local function words(text)
  local set = {}
  for word in text:gmatch "%S+" do
    set[word] = true
  end
  return set
end

-- A file of YAML, read as the program reads it.
local function yaml(path)
  local text = assert(support.read(path))
  local result = support.run({ support.driver "config_driver", "yaml", path }, { stdin = text })
  assert.same({ 0, "" }, { result.code, result.err })
  return support.json.decode(result.out)
end

describe("the Debian package #slow", function()
  -- A sanitizer build has no package.
  if not (has "cpack" and has "dpkg-shlibdeps" and support.exists(build .. "/documents/moontide.bash")) then
    return
  end
  local dir = support.tmpdir()
  local package, tree = nil, dir .. "/tree"

  setup(function()
    local made = support.run { "cpack", "-G", "DEB", "--config", build .. "/CPackConfig.cmake", "-B", dir }
    assert.equal(0, made.code, made.out .. made.err)
    package = support.run({ "sh", "-c", "ls " .. dir .. "/*.deb" }).out:gsub("\n", "")
    assert.equal(0, support.run({ "dpkg-deb", "-x", package, tree }).code)
  end)

  it("is named after version and architecture, and depends on the libraries", function()
    local version = support.run({ support.bin, "version" }).out:match "%d+%.%d+%.%d+"
    local arch = support.run({ "dpkg", "--print-architecture" }).out:gsub("\n", "")
    assert.equal(("moontide_%s_%s.deb"):format(version, arch), package:match "[^/]+$")
    local info = support.run({ "dpkg-deb", "--info", package }).out
    local depends = info:match "Depends: ([^\n]+)"
    for _, library in ipairs {
      "ca%-certificates", "libcurl4", "libevent%-2%.1%-7", "libjq1", "liblua5%.4%-0", "libsodium23", "libsqlite3%-0",
      "libyaml%-0%-2", "libc6",
    } do
      assert.matches(library, depends)
    end
    assert.matches("Version: " .. version, info, 1, true)
  end)

  it("holds program, types, manual, completions, unit and licence, owned by root", function()
    local contents = support.run({ "dpkg-deb", "--contents", package }).out
    local files = {}
    for mode, owner, path in contents:gmatch "(%S+) (%S+) +%d+ %S+ %S+ %./([^\n]+)" do
      files[path] = mode
      assert.equal("root/root", owner)
    end
    for _, path in ipairs {
      "usr/share/man/man1/moontide.1.gz", "usr/share/bash-completion/completions/moontide",
      "usr/share/zsh/vendor-completions/_moontide", "usr/share/fish/vendor_completions.d/moontide.fish",
      "usr/share/moontide/types/moontide.lua", "usr/lib/systemd/system/moontide@.service",
      "usr/share/doc/moontide/copyright", "usr/share/doc/moontide/changelog.gz", "usr/share/doc/moontide/CHANGELOG.md",
      "usr/share/doc/moontide/examples/example.env", "usr/share/doc/moontide/examples/helm/values.yaml",
    } do
      assert.equal("-rw-r--r--", files[path], path)
    end
    assert.equal("-rwxr-xr-x", files["usr/bin/moontide"])
    for path in pairs(files) do
      assert.not_matches("^usr/s?bin/.*driver", path)
      assert.not_matches("^usr/local", path)
    end
  end)

  it("enables no service, and has no script that runs at its installation", function()
    local scripts = support.run({ "sh", "-c", "dpkg-deb --ctrl-tarfile " .. package .. " | tar t" }).out
    assert.matches("control", scripts)
    assert.not_matches("inst", scripts)
    assert.not_matches("%.wants", support.run({ "dpkg-deb", "--contents", package }).out)
  end)

  it("has a program that runs, and the manual of that program", function()
    local version = support.run { tree .. "/usr/bin/moontide", "version" }
    assert.equal(support.run({ support.bin, "version" }).out, version.out)
    local page = support.run({ "gzip", "-dc", tree .. "/usr/share/man/man1/moontide.1.gz" }).out
    assert.equal(support.run({ support.bin, "help", "--man" }).out, page)
    local catalog = support.spawn({ tree .. "/usr/bin/moontide", "catalog" }, { cwd = dir })
    assert.matches("^listening http://", catalog.line)
    assert.equal(0, catalog:stop())
  end)

  it("passes lintian without an error", function()
    if has "lintian" then
      local result = support.run { "lintian", "--fail-on", "error", "--suppress-tags", "bad-distribution-in-changes-file", package }
      assert.equal(0, result.code, result.out)
    end
  end)
end)

describe("the systemd unit", function()
  local unit = assert(support.read(delivery .. "/moontide@.service"))

  local function settings(name)
    local values = {}
    for value in unit:gmatch("\n" .. name .. "=([^\n]*)") do
      values[#values + 1] = value
    end
    return values
  end

  it("runs a bundle as a user of its own, in its state folder, and reloads with SIGHUP", function()
    assert.same({ "moontide run $MOONTIDE_BUNDLES $MOONTIDE_OPTIONS" }, settings "ExecStart")
    assert.same({ "kill -HUP $MAINPID" }, settings "ExecReload")
    assert.same({ "yes" }, settings "DynamicUser")
    assert.same({ "%S/" .. settings "StateDirectory"[1] }, settings "WorkingDirectory")
    assert.same({ "-/etc/moontide/%i.env" }, settings "EnvironmentFile")
  end)

  it("is understood by systemd, and exposes little", function()
    if not has "systemd-analyze" then
      return
    end
    local dir = support.tmpdir()
    local path = support.write(dir .. "/moontide@.service", (unit:gsub("ExecStart=moontide", "ExecStart=" .. support.bin)))
    local verify = support.run { "systemd-analyze", "verify", "--man=no", path }
    assert.same({ 0, "" }, { verify.code, verify.err })
    local security = support.run { "systemd-analyze", "security", "--offline=true", "--no-pager", path }
    local exposure = tonumber(security.out:match "Overall exposure level for %S+ (%d+%.%d+)")
    assert.is_true(exposure <= 2.0, security.out)
  end)

  -- The names in the filter's groups, as this machine's systemd has them; { name = true }.
  local function expand(list, into)
    for word in list:gmatch "%S+" do
      if word:sub(1, 1) == "@" then
        local text = support.run({ "systemd-analyze", "syscall-filter", "--no-pager", word }).out
        for line in text:gsub("#[^\n]*", ""):gmatch "\n +([@%w_-]+)" do
          expand(line, into)
        end
      else
        into[word] = true
      end
    end
    return into
  end

  it("allows every system call that a resync and a service make", function()
    if not (has "systemd-analyze" and has "strace") or support.run({ "strace", "-o", "/dev/null", "true" }).code ~= 0 then
      return
    end
    local filters = settings "SystemCallFilter"
    local allowed, denied = expand(filters[1], {}), expand(filters[2]:gsub("^~", ""), {})
    assert.same({ true, true, nil }, { allowed.openat, denied.chroot, allowed.mount })
    local dir = support.tmpdir()
    for _, command in ipairs { { "resync" }, { "run", "--once" } } do
      local line = { "strace", "-f", "-qq", "-o", dir .. "/calls", support.bin }
      table.move(command, 1, #command, #line + 1, line)
      line[#line + 1] = support.root .. "/examples/hello"
      -- A leak checker traces the process itself, which strace does already.
      local env = { MOONTIDE__ADMIN__LISTEN = "127.0.0.1:0", APPLICATION__PORT = "0", ASAN_OPTIONS = "detect_leaks=0" }
      local result = support.run(line, { cwd = dir, env = env })
      assert.equal(0, result.code, result.err)
      local refused, count = {}, 0
      for call in io.lines(dir .. "/calls") do
        local name, rest = call:match "^%d+ +([%w_]+)(%(.*)$"
        if name then
          count = count + 1
          local as_root = name == "fchown" -- SQLite's, of root alone; the service is DynamicUser
          if (not allowed[name] or denied[name]) and not as_root then
            refused[name] = true
          end
          -- MemoryDenyWriteExecute
          assert.is_nil(rest:match "PROT_WRITE|PROT_EXEC", call)
          if name == "mprotect" then
            assert.is_nil(rest:match "PROT_EXEC", call)
          end
          local family = name == "socket" and rest:match "^%((AF_%w+)"
          if family then
            assert.is_true(words(settings "RestrictAddressFamilies"[1])[family], call)
          end
        end
      end
      assert.is_true(count > 100)
      assert.same({}, refused)
    end
  end)
end)

describe("the settings' example", function()
  it("names settings that exist", function()
    local env = {}
    for line in io.lines(delivery .. "/example.env") do
      local name, value = line:match "^#?([%u_]+__[%u_]+)=(.*)$"
      if name then
        env[name] = value ~= "" and value or "x"
      end
    end
    assert.is_truthy(env.OCEAN__EVENT_LISTENER__TYPE and env.OCEAN__PORT__CLIENT_ID)
    local result = support.run({ support.bin, "validate", "integrations/github" }, { env = env })
    assert.matches("0 errors, 0 warnings", result.out, 1, true, result.err)
  end)
end)

describe("the container image", function()
  local text = assert(support.read(delivery .. "/Containerfile"))
  local steps, stages = {}, 0 -- { "RUN", "…" }, continuation lines joined
  for line in (text:gsub("#[^\n]*\n", ""):gsub("\\\n", " ") .. "\n"):gmatch "([^\n]+)\n" do
    local name, rest = line:match "^(%u+) +(.*)$"
    assert(name, line)
    stages = stages + (name == "FROM" and 1 or 0)
    steps[#steps + 1] = { name = name, rest = rest, stage = stages }
  end

  local function step(name, stage)
    for _, s in ipairs(steps) do
      if s.name == name and s.stage == stage then
        return s.rest
      end
    end
  end

  it("has shell steps that a shell reads", function()
    local count = 0
    for _, s in ipairs(steps) do
      if s.name == "RUN" then
        count = count + 1
        local result = support.run({ "sh", "-n" }, { stdin = s.rest })
        assert.same({ 0, "" }, { result.code, result.err })
      end
    end
    assert.is_true(count >= 3)
  end)

  it("builds with the libraries of scripts/setup", function()
    local wanted = words(assert(support.read "scripts/setup"):match 'packages="(.-)"')
    local line = step("RUN", 1)
    local list = words(line:match "no%-install%-recommends(.-)&&")
    for package in pairs(wanted) do
      if package:find "%-dev$" or package:find "^gcc" or package:find "^cmake" or package:find "^ninja" then
        assert.is_true(list[package], package .. " is not in the Containerfile")
      end
    end
    for package in pairs(list) do
      assert.is_true(wanted[package], package .. " is not in scripts/setup")
    end
  end)

  it("copies what exists, and runs a bundle that ships", function()
    for _, s in ipairs(steps) do
      if s.name == "COPY" and not s.rest:find "^%-%-from" then
        local list = {}
        for word in s.rest:gmatch "%S+" do
          list[#list + 1] = word
        end
        for i = 1, #list - 1 do
          assert.equal(0, support.run({ "test", "-e", list[i] }).code, list[i])
        end
      end
    end
    local bundle = step("CMD", 2):match '"/bundles/(%w+)%.mtb"'
    assert.is_true(support.exists("integrations/" .. bundle .. "/main.lua"))
  end)

  it("is slim, runs as 1001 of group 0 (R-PKG-06), writes its state only, and ends by SIGTERM", function()
    for _, s in ipairs(steps) do
      assert.is_true(s.name ~= "FROM" or s.rest:find("^docker%.io/library/debian:12%-slim") ~= nil)
      assert.not_equal("HEALTHCHECK", s.name)
    end
    assert.equal("1001:0", step("USER", 2))
    assert.equal(step("WORKDIR", 2), step("VOLUME", 2))
    assert.equal("SIGTERM", step("STOPSIGNAL", 2))
    assert.equal('["moontide"]', step("ENTRYPOINT", 2))
  end)
end)

describe("the Helm chart", function()
  local values = yaml(delivery .. "/helm/values.yaml")

  it("sets what the program knows, by Ocean's names", function()
    local env = {}
    for _, section in ipairs { values.env, values.secrets } do
      for name, value in pairs(section) do
        assert.equal("string", type(value), name .. " is a text, as a variable is")
        env[name] = value ~= "" and value or "x"
      end
    end
    assert.is_truthy(env.OCEAN__PORT__CLIENT_SECRET and env.OCEAN__EVENT_LISTENER__TYPE)
    local result = support.run({ support.bin, "validate", "integrations/github" }, { env = env })
    assert.matches("0 errors, 0 warnings", result.out, 1, true, result.err)
    env.OCEAN__EVENT_LISTENER__TIPE = "x"
    env.MOONTIDE__ADMIN__LISEN = "x"
    local wrong = support.run({ support.bin, "validate", "integrations/github" }, { env = env })
    assert.matches("MOONTIDE__ADMIN__LISEN", wrong.out .. wrong.err, 1, true) -- the check itself works
  end)

  it("has no secret among the plain settings, and empty ones among the secrets", function()
    for name in pairs(values.env) do
      assert.not_matches("SECRET", name)
      assert.not_matches("TOKEN", name)
    end
    for _, value in pairs(values.secrets) do
      assert.equal("", value)
    end
  end)

  it("probes and scrapes the address that the program listens on", function()
    assert.equal(("0.0.0.0:%d"):format(values.ports.admin), values.env.MOONTIDE__ADMIN__LISTEN)
    assert.equal(tostring(values.ports.public), values.env.APPLICATION__PORT)
    assert.equal(tostring(values.ports.admin), values.podAnnotations["prometheus.io/port"])
    local pod = assert(support.read(delivery .. "/helm/templates/_pod.tpl"))
    for _, line in ipairs { "path: /health/live", "path: /health/ready", "readOnlyRootFilesystem: true",
      "mountPath: /var/lib/moontide" } do
      assert.matches(line, pod, 1, true)
    end
  end)

  it("has templates that name values which exist, and balance", function()
    local count = 0
    for name in support.run({ "ls", delivery .. "/helm/templates" }).out:gmatch "%S+" do
      local text = assert(support.read(delivery .. "/helm/templates/" .. name))
      assert.not_matches("\t", text)
      local depth = 0
      for action in text:gmatch "{{%-?%s*(.-)%s*%-?}}" do
        local word = action:match "^%w+"
        depth = depth + ((word == "if" or word == "range" or word == "with" or word == "define") and 1 or 0)
        depth = depth - (word == "end" and 1 or 0)
        assert.is_true(depth >= 0, name)
        for path in action:gmatch "%.Values%.([%w.]+)" do
          count = count + 1
          local value = values
          for part in path:gmatch "%w+" do
            assert.equal("table", type(value), name .. ": .Values." .. path)
            value = value[part]
          end
          assert.is_not_nil(value, name .. ": .Values." .. path)
        end
      end
      assert.equal(0, depth, name)
    end
    assert.is_true(count > 15)
  end)
end)
