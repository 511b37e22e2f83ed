-- pack, keygen, verify, inspect: a bundle as one file, and who vouches for it.
local support = require "spec.support"
local driver = support.driver "archive_driver"

local function moontide(...)
  return support.run({ support.bin, ... }, { timeout = 60 })
end

local work = support.tmpdir()
local function keys(name)
  assert.are.equal(0, moontide("keygen", work .. "/" .. name).code)
  return work .. "/" .. name .. ".key", work .. "/" .. name .. ".pub"
end
local key, pub = keys "good"
local _, other = keys "other"

local function folder(files, name)
  local dir = support.tmpdir() .. "/" .. (name or "b")
  support.write(dir .. "/main.lua", "-- main\n")
  for file, text in pairs(files or {}) do
    support.write(dir .. "/" .. file, text)
  end
  return dir
end

local function pack(dir, ...)
  local file = support.tmpdir() .. "/x.mtb"
  return file, moontide("pack", dir, "-o", file, ...)
end

local function drive(...)
  return support.run({ driver, ... }, { timeout = 120 })
end

describe("pack", function()
  for _, name in ipairs { "integrations/github", "integrations/prometheus", "examples/hello" } do
    it("gives a file that is the same bundle as " .. name, function()
      local dir = support.root .. "/" .. name
      local file, r = pack(dir)
      assert.are.equal(0, r.code, r.err)
      assert.matches(": %d+ bytes, not signed\n$", (r.out:gsub("^.-%.mtb: .-, ", ": ")))
      local list = drive("list", dir, "").out
      assert.are.equal(list, drive("list", file, "", "whole").out)
      assert.is_nil(drive("list", file, "").out:find "spec/")
      for path in list:gmatch "[^\n]+" do
        assert.are.equal(support.read(dir .. "/" .. path), drive("read", file, path, "whole").out, path)
      end
      for _, part in ipairs { { "", "" }, { "", ".lua" }, { ".port/", "" } } do
        assert.are.equal(drive("digest", dir, part[1], part[2]).out, drive("digest", file, part[1], part[2]).out)
      end
      local function findings(bundle)
        return (moontide("validate", bundle).out:gsub("^.-: ", ""))
      end
      assert.are.equal(findings(dir), findings(file))
      assert.matches("^0 errors, 0 warnings %(%d kinds, [1-9]%d* examples", findings(file))
    end)
  end

  it("gives the same bytes twice, from two folders, by two users' settings, in any order", function()
    local files = { ["lib/a.lua"] = "1", ["lib/b.lua"] = "2", [".port/spec.yaml"] = "type: t\ntitle: T/T\n" }
    local a, b = folder(files, "one"), folder({ ["lib/b.lua"] = "2" }, "two")
    for path, text in pairs(files) do
      support.write(b .. "/" .. path, text)
    end
    os.execute(("chmod 600 %s/main.lua; touch -d 2001-01-01 %s/main.lua; touch %s/.env %s/notes.txt"):format(b, b, b, b))
    local first, second = pack(a, "--sign", key), pack(b, "--sign", key)
    assert.are.equal(support.read(first), support.read(second))
    assert.are.equal(support.read(first), support.read((pack(a, "--sign", key))))
    local third = support.tmpdir() .. "/x.mtb"
    support.run({ support.bin, "pack", b, "-o", third, "--sign", key }, { env = { LC_ALL = "C.UTF-8", TZ = "Asia/Tokyo" } })
    assert.are.equal(support.read(first), support.read(third))
  end)

  it("leaves out what is no part of a bundle, and names it", function()
    local file, r = pack(folder { [".env"] = "SECRET=hidden", [".git/config"] = "", ["notes.txt"] = "",
      ["a\27b.txt"] = "", ["node_modules/x.js"] = "", ["pyproject.toml"] = "", [".port/resources/x.md"] = "",
      ["README.md"] = "" })
    assert.are.equal(0, r.code)
    assert.matches("left out, since no bundle has them:\n  %.env\n  %.git/\n  %.port/resources/x%.md\n  a%?b%.txt\n"
      .. "  node_modules/x%.js\n  notes%.txt\n  pyproject%.toml %(name and version are in the manifest%)\n$", r.err)
    assert.are.equal("README.md\nmain.lua\n", drive("list", file, "", "whole").out)
    assert.matches("not_found: .*x%.mtb holds no %.env", drive("read", file, ".env").err)
  end)

  it("takes links for what they lead to", function()
    local dir = folder { ["lib/a.lua"] = "a" }
    os.execute(("ln -s lib/a.lua %s/b.lua"):format(dir))
    local file = pack(dir)
    assert.are.equal("a", drive("read", file, "b.lua").out)
  end)

  it("replaces the file at once, and leaves the old one when it cannot", function()
    local dir = folder()
    local file = pack(dir)
    local before = support.read(file)
    support.write(dir .. "/main.lua", "-- new")
    assert.are.equal(0, moontide("pack", dir, "-o", file).code)
    assert.are_not.equal(before, support.read(file))
    before = support.read(file)
    support.write(dir .. "/.port/spec.yaml", "- broken")
    assert.are.equal(1, moontide("pack", dir, "-o", file).code)
    assert.are.equal(before, support.read(file))
    local left = support.run { "ls", (file:gsub("/x%.mtb$", "")) }
    assert.are.equal("x.mtb\n", left.out)
    os.remove(dir .. "/.port/spec.yaml")
    local r = moontide("pack", dir, "-o", "/nowhere/x.mtb")
    assert.are.equal(1, r.code)
    assert.matches("/nowhere/x%.mtb cannot be written: No such file", r.err)
    os.execute(("mkdir %s/d.mtb"):format(work))
    assert.matches("d%.mtb cannot be written: Is a directory", moontide("pack", dir, "-o", work .. "/d.mtb").err)
  end)

  it("may write into the folder that it packs", function()
    local dir = folder()
    local file = dir .. "/x.mtb"
    moontide("pack", dir, "-o", file)
    local first = support.read(file)
    assert.is_nil(moontide("pack", dir, "-o", file).err:find "x.mtb")
    assert.are.equal(first, support.read(file))
  end)

  it("refuses what a packed bundle cannot hold", function()
    local function refused(files, pattern)
      local file, r = pack(folder(files))
      assert.are.equal(1, r.code)
      assert.matches("cannot be packed: " .. pattern, r.err)
      assert.is_false(support.exists(file))
    end
    refused({ ["\u{e9}.lua"] = "" }, 'the path ".*" is refused: it holds letters other than those of ASCII')
    refused({ ["A.lua"] = "", ["a.lua"] = "" }, "it lists a%.lua twice, with other capitals")
    refused({ ["a:b.lua"] = "" }, 'the path "a:b%.lua" is refused: it holds one of')
    refused({ ["spec/recordings/big.ndjson"] = ("x"):rep((16 << 20) + 1) }, ".*big%.ndjson is too large")
    refused({ ["zeros.lua"] = ("\0"):rep(8 << 20) }, "its files are more than 200 times as large as it is")
    local r = moontide("pack", pack(folder()), "-o", work .. "/y.mtb")
    assert.matches("x%.mtb is packed already", r.err)
    r = moontide("pack", folder(), "-o", work .. "/y.mtb", "--sign", work .. "/none.key")
    assert.matches("the key .*/none%.key cannot be opened: No such file", r.err)
  end)

  it("says what it needs", function()
    for _, words in ipairs { {}, { "a" }, { "a", "b", "-o", "x.mtb" }, { "a", "-o", "x.tar" }, { "a", "-o", "/.mtb" } } do
      local r = moontide("pack", table.unpack(words))
      assert.are.equal(2, r.code)
      assert.matches("^moontide pack: ", r.err)
    end
  end)
end)

describe("type and version of a packed bundle", function()
  it("are those of its manifest: pyproject.toml stays behind (architecture 3.1)", function()
    local file = pack(folder { ["pyproject.toml"] = '[project]\nname = "Py"\nversion = "4.5"\n' })
    local config = support.run { support.driver "config_driver", "bundle", file }
    assert.matches("^x\npy\n4%.5\n", config.out)
  end)

  it("go with the name of the file, also where it is a link", function()
    local file = pack(folder())
    local link = support.tmpdir() .. "/current.mtb"
    os.execute(("ln -s %s %s"):format(file, link))
    assert.matches("^current\n", support.run { support.driver "config_driver", "bundle", link }.out)
  end)
end)

describe("keygen", function()
  it("writes a key that only its owner reads, and one to hand out", function()
    assert.matches("^%-rw%-%-%-%-%-%-%- ", support.run { "ls", "-l", key }.out)
    assert.matches("^moontide public key 1\n[%w_-]+\n$", support.read(pub))
    assert.are.equal(48, #support.read(pub):match "\n(.-)\n")
    assert.are_not.equal(support.read(pub), support.read(other))
  end)

  it("overwrites nothing", function()
    local before = support.read(key)
    local r = moontide("keygen", work .. "/good")
    assert.are.equal(1, r.code)
    assert.matches("exists already, and keys are not overwritten", r.err)
    assert.are.equal(before, support.read(key))
    support.write(work .. "/half.key", "x")
    assert.are.equal(1, moontide("keygen", work .. "/half").code)
    assert.is_false(support.exists(work .. "/half.pub"))
    assert.matches("cannot be made: No such file", moontide("keygen", "/nowhere/k").err)
    for _, name in ipairs { "", work .. "/" } do
      assert.are.equal(2, moontide("keygen", name).code)
    end
    assert.are.equal(2, moontide("keygen").code)
  end)

  it("makes keys whose typing errors are noticed, every letter", function()
    local file = pack(folder(), "--sign", key)
    local text = support.read(pub)
    local at = text:find("\n", 1, true)
    for i = at + 1, #text - 1 do
      local letter = text:sub(i, i) == "A" and "B" or "A"
      local wrong = support.write(work .. "/wrong.pub", text:sub(1, i - 1) .. letter .. text:sub(i + 1))
      local r = moontide("verify", file, "--trust", wrong)
      assert.are.equal(1, r.code)
      assert.matches("wrong%.pub is no key: its ", r.err)
    end
    local function refused(content, pattern)
      assert.matches("is no key: " .. pattern, moontide("verify", file, "--trust", support.write(work .. "/w", content)).err)
    end
    refused("", "its first line is not that of a key")
    refused(text:sub(1, -5), "its second line must be a key of 48 letters")
    refused(text .. "more\n", "more follows its second line")
    refused(support.read(key), "it is the secret key: give NAME.pub")
    assert.matches("it is the public key: give NAME%.key", select(2, pack(folder(), "--sign", pub)).err)
    assert.are.equal(0, moontide("verify", file, "--trust", support.write(work .. "/w", text:gsub("\n", "\r\n") .. "")).code)
  end)

  it("warns of a secret key that others can read", function()
    local open = work .. "/open.key"
    support.write(open, support.read(key))
    os.execute("chmod 644 " .. open)
    local _, r = pack(folder(), "--sign", open)
    assert.are.equal(0, r.code)
    assert.matches("WARN .*open%.key can be read by others", r.err)
  end)
end)

describe("verify", function()
  local signed, unsigned = pack(folder(), "--sign", key), pack(folder())
  local name = support.read(pub):match "\n(.-)\n"

  it("says in one line who signed it", function()
    local r = moontide("verify", signed)
    assert.are.equal(0, r.code)
    assert.are.equal(("%s: b 0.0.0, signed by %s\n"):format(signed, name), r.out)
    r = moontide("verify", signed, "--trust", pub)
    assert.are.equal(("%s: b 0.0.0, signed by %s (%s)\n"):format(signed, name, pub), r.out)
    r = moontide("verify", unsigned)
    assert.are.equal(0, r.code)
    assert.are.equal(unsigned .. ": b 0.0.0, whole, but nobody signed it\n", r.out)
  end)

  it("refuses what the trusted key did not sign", function()
    local function refused(file, trust, pattern)
      local r = moontide("verify", file, "--trust", trust)
      assert.are.equal(1, r.code)
      assert.are.equal("", r.out)
      assert.matches(pattern, r.err)
    end
    refused(unsigned, pub, "is refused: nobody signed it, and %-%-trust asks for the key [%w_-]+")
    refused(signed, other, "is refused: it is signed by the key [%w_-]+, and %-%-trust asks for [%w_-]+")
    refused(folder(), pub, "is a folder, and %-%-trust takes only what that key signed: pack it")
    refused(signed, work .. "/none.pub", "the key .*none%.pub cannot be opened")
    assert.matches("is a folder: there is nothing to verify", moontide("verify", folder()).err)
    assert.are.equal(1, moontide("verify", folder()).code)
    assert.are.equal(1, moontide("verify", "/nowhere.mtb").code)
    assert.are.equal(2, moontide("verify").code)
  end)

  it("is what every command does that takes --trust", function()
    local hello = pack(support.root .. "/examples/hello", "--sign", key)
    assert.are.equal(0, moontide("validate", hello, "--trust", pub).code)
    local r = moontide("validate", hello, "--trust", other)
    assert.are.equal(1, r.code)
    assert.matches("error: the packed bundle .* is refused: it is signed by the key", r.out)
  end)

  it("notices every flipped bit that changes something, and every cut", function()
    local total, refused, same = drive("bits", signed).out:match "^(%d+) (%d+) (%d+)\n$"
    assert.are.equal(tonumber(total), refused + same)
    assert.is_true(tonumber(refused) > 3000 and tonumber(same) < 100, same)
    assert.matches("^%d+ %d+ %d+\n$", drive("bits", unsigned).out)
  end)

  it("refuses a signature of another manifest", function()
    local tar = require "spec.bundle.tar"
    local function entries(file)
      local text = support.run({ "zstd", "-dc", file }).out
      return text
    end
    if support.run({ "sh", "-c", "command -v zstd" }).code ~= 0 then
      return
    end
    local a, b = entries(signed), entries(pack(folder { ["x.lua"] = "1" }, "--sign", key))
    local function signature(text)
      local at = text:find("manifest.sig", 1, true)
      return at, text:sub(at, at + 1023)
    end
    local at = signature(a)
    local _, theirs = signature(b)
    local r = moontide("verify", support.write(work .. "/m.mtb", tar.frame { a:sub(1, at - 1) .. theirs .. a:sub(at + 1024) }))
    assert.matches("its signature does not fit its manifest: one of them was altered", r.err)
    r = moontide("verify", support.write(work .. "/m.mtb", tar.frame { (a:gsub("moontide signature 1", "moontide signature 2")) }))
    assert.matches("its signature is damaged", r.err)
    assert.are.equal(0, moontide("verify", support.write(work .. "/m.mtb", tar.frame { a })).code)
  end)
end)

describe("inspect", function()
  it("shows what a bundle says about itself", function()
    local file = pack(folder({ ["lib/a.lua"] = "12345", [".port/spec.yaml"] = "title: Tea\ntype: tea\nversion: 1.2\n"
      .. "hosts: [api.tea.example]\nfeatures:\n  - type: exporter\n    resources:\n      - kind: pot\n"
      .. "configurations:\n  - name: teaHost\n    type: url\n", [".port/resources/port-app-config.yml"] =
      "resources:\n  - kind: cup\n  - kind: pot\n" }), "--sign", key)
    local r = moontide("inspect", file)
    assert.are.equal(0, r.code)
    for _, line in ipairs { "name      Tea\n", "type      tea\n", "version   1.2\n", "moontide  0.1.0\n",
      "kinds     pot, cup\n", "hosts     api.tea.example, and those of the settings teaHost\n", "files     4\n",
      "  5994471abb01  lib/a.lua\n", "signed by " .. support.read(pub):match "\n(.-\n)" } do
      assert.is_truthy(r.out:find(line, 1, true), line .. r.out)
    end
    local json = support.json.decode(moontide("inspect", file, "--json").out)
    assert.are.equal(true, json.ok)
    assert.are.equal(support.json.null, json.refused)
    assert.are.equal(support.read(pub):match "\n(.-)\n", json.signer)
    assert.are.same({ "pot", "cup" }, json.manifest.kinds)
    assert.are.same({ names = { "api.tea.example" }, settings = { "teaHost" } }, json.manifest.hosts)
    assert.are.equal("lib/a.lua", json.manifest.files[3].path)
    assert.are.equal(5, json.manifest.files[3].size)
  end)

  it("shows what would be refused, as far as it can be read, and says so", function()
    local tar = require "spec.bundle.tar"
    local manifest = tar.manifest({ { "main.lua", "a" } }, { format = "9", name = '"evil\\u001b[2J"' })
    local file = support.write(work .. "/r.mtb", tar.frame { tar.head(manifest) .. tar.entry("main.lua", "b") })
    local r = moontide("inspect", file)
    assert.are.equal(0, r.code)
    assert.matches("name      evil%?%[2J\n", r.out)
    assert.matches("REFUSED .*it has format 9", r.out)
    local json = support.json.decode(moontide("inspect", file, "--json").out)
    assert.are.equal(false, json.ok)
    assert.matches("it has format 9", json.refused)
    assert.are.equal(9, json.manifest.format)
    file = support.write(work .. "/r.mtb", "no")
    r = moontide("inspect", file)
    assert.are.equal(1, r.code)
    assert.matches("^moontide inspect: .*r%.mtb: it is no packed bundle", r.err)
    r = moontide("inspect", file, "--json")
    assert.are.equal(1, r.code)
    assert.are.equal(false, support.json.decode(r.out).ok)
    assert.are.equal(1, moontide("inspect", "/nowhere.mtb").code)
    assert.matches("cannot be read: Is a directory", moontide("inspect", folder()).err)
    assert.are.equal(2, moontide("inspect").code)
  end)
end)

describe("a packed bundle that runs", function()
  it("gives the catalog that its folder gives: the GitHub bundle, signed, on a recorded organization", function()
    local sync = require "spec.support.sync"
    local dir = support.root .. "/integrations/github"
    local function catalog(...)
      local cwd = support.tmpdir()
      local r = support.run({ support.bin, "resync", ... },
        { cwd = cwd, timeout = 60, env = { OCEAN__INTEGRATION__CONFIG__GITHUB_ORGANIZATION = "acme" } })
      assert.are.equal(0, r.code, r.err)
      local all = {}
      local server = sync.catalog(cwd .. "/.moontide/catalog.db")
      for _, blueprint in ipairs(support.json.decode(support.read(dir .. "/.port/resources/blueprints.json"))) do
        all[blueprint.identifier] = sync.entities(server.url, blueprint.identifier)
      end
      server:stop()
      return all
    end
    local recording = dir .. "/spec/recordings/acme.ndjson"
    local packed = catalog((pack(dir, "--sign", key)), "--trust", pub, "--replay", recording)
    local count = 0
    for _, entities in pairs(packed) do
      count = count + sync.count(entities)
    end
    assert.is_true(count >= 8, "only " .. count)
    assert.are.equal(sync.canonical(catalog(dir, "--replay", recording)), sync.canonical(packed))
  end)

  it("is never seen in halves when it is replaced: the one that was opened is read to its end", function()
    local dir = folder()
    local file = pack(dir)
    local second = pack(folder { ["main.lua"] = "-- second\n" })
    local r = drive("snapshot", file, ("mv %s %s"):format(second, file))
    local first, after = r.out:match "^(%-%- main\n%x+\n)(.*)$"
    assert.are.equal(first, after)
    assert.are.equal("-- second\n", drive("read", file, "main.lua").out)
  end)
end)
