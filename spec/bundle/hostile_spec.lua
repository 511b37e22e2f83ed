-- Packed bundles that somebody made to do harm, and those that an accident made. Each is one step away from a good
-- one, which is opened first.
local support = require "spec.support"
local tar = require "spec.bundle.tar"

local main = { "main.lua", "return 1\n" }
local lib = { "lib/a.lua", "return 2\n" }

local function bundle(bytes, name)
  return support.write(support.tmpdir() .. "/" .. (name or "x") .. ".mtb", bytes)
end

local function archive(...)
  return tar.frame { table.concat { ... } .. tar.ending }
end

local function verify(bytes)
  return support.run({ support.bin, "verify", bundle(bytes) }, { timeout = 20 })
end

local function refuses(bytes, pattern)
  local result = verify(bytes)
  assert.are.equal(1, result.code, result.out .. result.err)
  assert.are.equal("", result.out)
  assert.matches("moontide verify: the packed bundle .-/x%.mtb is refused: " .. pattern, result.err)
end

local good = tar.head(tar.manifest { lib, main })
local files = tar.entry(lib[1], lib[2]) .. tar.entry(main[1], main[2])

describe("a packed bundle made by hand", function()
  it("is taken when nothing is wrong with it", function()
    local result = verify(archive(good, files))
    assert.matches("x%.mtb: x 1, whole, but nobody signed it\n$", result.out)
    assert.are.equal(0, result.code)
  end)

  it("is taken with padding behind its end and names in extended headers, as other tools write them", function()
    assert.are.equal(0, verify(tar.frame { good .. files .. tar.ending, { "\0", 8192 } }).code)
    assert.are.equal(0, verify(archive(good, tar.pax { path = lib[1] }, tar.entry("short", lib[2]),
      tar.entry(main[1], main[2]))).code)
  end)
end)

describe("a packed bundle is refused for a path", function()
  for path, why in pairs {
    ["../main.lua"] = "it holds the part %. or %.%.", ["lib/../../a.lua"] = "it holds the part %. or %.%.",
    ["./main.lua"] = "it holds the part %. or %.%.", ["/etc/x.lua"] = "it is absolute",
    ["lib//a.lua"] = "it holds an empty part", ["a\\b.lua"] = "it holds one of", ["c:x.lua"] = "it holds one of",
    ["a\1.lua"] = "it holds a control character", ["a\n.lua"] = "it holds a control character",
    ["a\127.lua"] = "it holds a control character", ["\u{e9}.lua"] = "it holds letters other than those of ASCII",
    [("d/"):rep(99) .. "a.lua"] = "it is longer than 200 bytes", ["a./b.lua"] = "a part of it ends in a dot",
    ["a /b.lua"] = "a part of it ends in a dot or a blank", [".env"] = "a bundle has no such file",
    [".git/x.lua"] = "a bundle has no such file", ["lib/.x.lua"] = "a bundle has no such file",
    ["notes.txt"] = "a bundle has no such file", [".port/notes.json"] = "a bundle has no such file",
    [".port/examples/x.json"] = "a bundle has no such file", ["spec/recordings/x.txt"] = "a bundle has no such file",
    [".lua"] = "a bundle has no such file", ["lib/"] = "it holds an empty part",
  } do
    it(("of its manifest: %q"):format(path), function()
      refuses(archive(tar.head(tar.manifest { main, { path, "x" } }), tar.entry(main[1], main[2])),
        'the path ".*" is refused: ' .. why)
    end)
    if #path < 100 and not path:find "/$" then
      it(("of its archive: %q"):format(path), function()
        -- Letters beyond ASCII are no name at all where the locale has none.
        local pattern = path:find "\u{e9}" and "" or 'the path ".*" is refused: ' .. why
        refuses(archive(tar.head(tar.manifest { main }), tar.entry(main[1], main[2]), tar.entry(path, "x")), pattern)
      end)
    end
  end

  it("with a NUL in it", function()
    refuses(archive(tar.head(tar.manifest({ main }, function(text)
      return (text:gsub("main%.lua", "main.lua\\u0000.txt"))
    end)), files), "the path .* is refused: it holds a control character")
    refuses(archive(good, tar.pax { path = "main.lua\0/../../x" }, tar.entry("x", "return 3\n"), files), "")
  end)

  it("that it has twice, also where only capitals differ", function()
    refuses(archive(tar.head(tar.manifest { main, main }), files), "it lists main%.lua twice")
    refuses(archive(tar.head(tar.manifest { { "Main.lua", "" }, main }), files), "it lists main%.lua twice, with")
    refuses(archive(good, files, tar.entry(main[1], main[2])), "it holds main%.lua twice")
    refuses(archive(good, tar.entry(lib[1], lib[2]), tar.entry(lib[1], lib[2]), tar.entry(main[1], main[2])),
      "it holds lib/a%.lua twice")
  end)
end)

describe("a packed bundle is refused for an entry that is", function()
  for what, entry in pairs {
    ["a symbolic link"] = { type = "2", link = "/etc/passwd" }, ["a hard link"] = { type = "1", link = "main.lua" },
    ["a device"] = { type = "3" }, ["a fifo"] = { type = "6" }, ["a folder"] = { type = "5" },
  } do
    it(what, function()
      refuses(archive(good, tar.entry(lib[1], "", entry), tar.entry(main[1], main[2])),
        'its entry "lib/a%.lua/?" is ' .. what)
    end)
  end

  it("a block device", function()
    refuses(archive(good, tar.entry(lib[1], "", { type = "4" }), files), "its entry .* is a device")
  end)

  it("a sparse file, as GNU tar makes them", function()
    local dir = support.tmpdir()
    os.execute(("cd %s && mkdir lib && truncate -s 1M lib/a.lua && printf x >> lib/a.lua && tar -cS --format=gnu "
      .. "-f a.tar lib/a.lua && tar -cS --format=posix -f b.tar lib/a.lua"):format(dir))
    for _, name in ipairs { "a", "b" } do
      refuses(archive(good, support.read(dir .. "/" .. name .. ".tar")), 'its entry "lib/a%.lua" is a sparse file')
    end
  end)

  it("longer or shorter than the manifest says, or another one", function()
    refuses(archive(good, tar.entry(lib[1], lib[2] .. "x"), tar.entry(main[1], main[2])), "its entry lib/a%.lua is too")
    refuses(archive(good, tar.entry(lib[1], "x"), tar.entry(main[1], main[2])), "lib/a%.lua was altered: its SHA%-256")
    refuses(archive(good, tar.entry(lib[1], "return 3\n"), tar.entry(main[1], main[2])), "lib/a%.lua was altered")
  end)

  it("missing, in another place, or not listed", function()
    refuses(archive(good, tar.entry(lib[1], lib[2])), "main%.lua is missing, which its manifest lists")
    refuses(archive(good, tar.entry(main[1], main[2])), "lib/a%.lua is missing, which its manifest lists before main")
    refuses(archive(good, files, tar.entry("z.lua", "")), "it holds z%.lua, which its manifest does not list")
  end)

  it("behind its end", function()
    refuses(archive(good, files, tar.ending, tar.entry("z.lua", "")), "it holds z%.lua, which its manifest does not list")
    refuses(tar.frame { good .. files .. tar.ending .. ("garbage"):rep(100) }, "it is damaged")
    refuses(archive(good, files) .. "x", "1 bytes follow its end")
    refuses(archive(good, files) .. archive(good, files), "%d+ bytes follow its end")
    refuses(archive(good, files) .. "\x50\x2A\x4D\x18\4\0\0\0abcd", "12 bytes follow its end")
  end)

  it("not there at all: no main.lua", function()
    refuses(archive(tar.head(tar.manifest { lib }), tar.entry(lib[1], lib[2])), "it holds no main%.lua")
    refuses(archive(tar.head(tar.manifest {})), "it holds no main%.lua")
  end)
end)

describe("a packed bundle is refused for a manifest that", function()
  local function with(changes, pattern)
    refuses(archive(tar.head(tar.manifest({ lib, main }, changes)), files), pattern)
  end

  it("is not first, or has no checksum", function()
    refuses(archive(files, good), "it is no packed bundle: its first entry is not manifest%.json")
    refuses(archive(), "it is no packed bundle")
    refuses(tar.frame {}, "it is")
    refuses(archive(tar.entry("manifest.json", tar.manifest { lib, main }), files), "its second entry is neither")
    refuses(archive(tar.entry("manifest.json", tar.manifest { lib, main })), "its second entry is neither")
    refuses(archive(tar.entry("manifest.json", tar.manifest { lib, main }),
      tar.entry("manifest.sha256", ("0"):rep(64) .. "\n"), files), "its manifest was altered")
  end)

  it("is of a newer format", function()
    with({ format = "2" }, "it has format 2, and moontide .* reads up to 1: take a newer moontide")
  end)

  it("is made for another moontide", function()
    with({ runtime = '{"from":"998.0.0","below":"999.0.0"}' }, "it is made for moontide from 998%.0%.0 to below 999")
    with({ runtime = '{"from":"0.0.0","below":"0.0.1"}' }, "it is made for moontide from 0%.0%.0 to below 0%.0%.1")
  end)

  it("lies about hosts or kinds", function()
    with({ hosts = '{"names":["example.com"],"settings":[]}' }, "the hosts of its manifest are not those of its files")
    with({ kinds = '["x"]' }, "the kinds of its manifest are not those of its files")
  end)

  it("is none", function()
    with(function() return "[]" end, "its manifest is damaged: it must be an object")
    with(function() return "{" end, "its manifest is damaged: ")
    with(function() return ("["):rep(100000) end, "its manifest is damaged: ")
    with(function(text) return text .. "{}" end, "its manifest is damaged: ")
    for member, pattern in pairs { format = '"format" must be a number', name = 'has no "name"',
      runtime = 'has no "runtime"', kinds = 'has no "kinds"', hosts = 'has no "hosts"', files = 'has no "files"' } do
      with({ [member] = false }, "its manifest is damaged: .*" .. pattern)
    end
    for member, value in pairs { format = "0", name = '""', type = "1", version = '"a\\nb"', runtime = '{"from":"1"}',
      kinds = "[1]", hosts = "[]", files = "{}", other = "1" } do
      with({ [member] = value }, "its manifest is damaged: ")
    end
    with({ type = '"a b"' }, 'its manifest: the type "a b" and the version "1" may hold')
    with({ runtime = '{"from":"1","below":"2.0.0"}' }, '.*"runtime" must be two versions')
    with({ hosts = '{"names":[1],"settings":[]}' }, '.*"hosts.names" must be a list of texts')
    for _, file in ipairs { '{}', '1', '{"path":"a.lua","size":-1,"sha256":""}', '{"path":1,"size":1,"sha256":""}',
      '{"path":"a.lua","size":1,"sha256":"' .. ("A"):rep(64) .. '"}', '{"path":"a.lua","size":1,"sha256":"00"}' } do
      with({ files = "[" .. file .. "]" }, "")
    end
    with(function(text) return (text:gsub('"files":%[({.-}),({.-})%]', '"files":[%2,%1]')) end,
      "its manifest is damaged: its files are not sorted")
  end)
end)

describe("a bomb", function()
  it("of one byte many times is refused before it is unpacked", function()
    refuses(tar.frame { good .. files .. tar.ending, { "\0", 1 << 30 } }, "it may unpack to more than 512 MiB")
  end)

  it("of one file that is far larger than the packed one is refused by the ratio", function()
    local size = 16 << 20
    local sum = tar.sha256("", ("head -c %d /dev/zero"):format(size))
    local manifest = tar.manifest { { "main.lua", "", size = size, sha256 = sum } }
    refuses(tar.frame { tar.head(manifest) .. tar.entry("main.lua", "", { size = size }), { "\0", size }, tar.ending },
      "its files are more than 200 times as large as it is")
  end)

  it("of sizes that only the manifest tells is refused by them", function()
    local hash = ("0"):rep(64)
    refuses(archive(tar.head(tar.manifest { { "main.lua", "", size = (16 << 20) + 1, sha256 = hash } })),
      "main%.lua is too large: 16777217 bytes")
    refuses(archive(tar.head(tar.manifest { { "main.lua", "", size = "9223372036854775807", sha256 = hash } })),
      "main%.lua is too large")
    local many = {}
    for i = 1, 5 do
      many[i] = { ("a%d.lua"):format(i), "", size = 16 << 20, sha256 = hash }
    end
    refuses(archive(tar.head(tar.manifest(many))), "its files are larger than 64 MiB together")
  end)

  it("of files, or of a manifest, is refused by number and size", function()
    local list, hash = {}, ("0"):rep(64)
    for i = 1, 4097 do
      list[i] = ('{"path":"a%05d.lua","size":0,"sha256":"%s"}'):format(i, hash)
    end
    refuses(archive(tar.head(tar.manifest({}, { files = "[" .. table.concat(list, ",") .. "]" }))),
      "it lists 4097 files, at most 4096 are taken")
    refuses(archive(tar.entry("manifest.json", (" "):rep((2 << 20) + 1))), "its entry manifest%.json is too large")
    refuses(archive(tar.entry("manifest.json", "{}"), tar.entry("manifest.sig", ("x"):rep(5000))),
      "its entry manifest%.sig is too large")
  end)

  it("of names in extended headers is refused", function()
    refuses(archive(good, tar.pax { path = ("x/"):rep(50000) .. "a.lua" }, tar.entry("x", ""), files),
      'the path ".*" is refused: it is longer than 200 bytes')
    refuses(archive(tar.pax { path = ("x"):rep(3 << 20) }, good, files), "it is damaged")
  end)

  it("of a window that decompression would need is refused", function()
    refuses(tar.frame({ good .. files .. tar.ending }, { window = 0xFF }), "unpacking it takes a window of more than 32")
  end)
end)

describe("a file that is no packed bundle", function()
  it("is refused for what it is", function()
    refuses("", "it is cut short")
    refuses("\x28\xB5", "it is cut short")
    refuses("hello", "it is no packed bundle: it does not begin as zstd does")
    refuses("PK", "it is no packed bundle")
    refuses(tar.frame({ good }, { descriptor = 0x01 }), "its frame needs a dictionary")
    refuses(tar.frame({ good }, { descriptor = 0x08 }), "its frame uses a reserved bit")
    refuses("\x28\xB5\x2F\xFD\0\x40\7\0\0", "a block of its frame is none")
    refuses("\x28\xB5\x2F\xFD\4\x40\1\0\0ab", "it is cut short")
    refuses("\x28\xB5\x2F\xFD\0\x40\21\0\0\1\2", "it is damaged")
    refuses("\x28\xB5\x2F\xFD\xE0\0", "it is cut short")
  end)

  it("is no bundle without the name", function()
    local path = support.write(support.tmpdir() .. "/x.tar", archive(good, files))
    assert.matches("is not a bundle: name the folder that holds main%.lua, or a packed file %(%.mtb%)",
      support.run { support.bin, "verify", path }.err)
  end)

  it("may be named .mtb and be a fifo or a device", function()
    local dir = support.tmpdir()
    os.execute("mkfifo " .. dir .. "/x.mtb")
    assert.matches("is not a bundle", support.run({ support.bin, "verify", dir .. "/x.mtb" }, { timeout = 10 }).err)
  end)

  it("may be larger than any bundle", function()
    local path = support.tmpdir() .. "/x.mtb"
    os.execute(("truncate -s 65M %s"):format(path))
    assert.matches("is refused: it is larger than 64 MiB", support.run { support.bin, "verify", path }.err)
  end)
end)
