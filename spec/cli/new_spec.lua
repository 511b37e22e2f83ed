-- moontide new: a bundle that runs at once (issue 4.5).
local support = require "spec.support"
local sync = require "spec.support.sync"

local function new(cwd, ...)
  return support.run({ support.bin, "new", ... }, { cwd = cwd })
end

local function files(dir)
  local pipe = assert(io.popen("cd " .. dir .. " && find . -type f | LC_ALL=C sort"))
  local text = pipe:read "a"
  pipe:close()
  return text
end

describe("moontide new", function()
  it("writes a bundle that tests, resyncs and validates offline, as its next steps say", function()
    local cwd = support.tmpdir()
    local line = ("%s new x && cd x && %s test . && %s resync . --replay spec/recordings/*.ndjson && %s validate .")
      :gsub("%%s", support.bin)
    local result = support.run({ "sh", "-c", line }, { cwd = cwd })
    assert.equal(0, result.code, result.out .. result.err)
    assert.matches("5 successes / 0 failures / 0 errors", result.out, 1, true)
    assert.matches("x: 0 errors, 0 warnings", result.out, 1, true)
    local books = sync.embedded(cwd .. "/x", "xBook")
    assert.equal(3, sync.count(books))
    assert.equal("2", books["9780156027601"].relations.author)
    assert.equal(3, sync.count(sync.embedded(cwd .. "/x", "xAuthor")))
  end)

  it("names everything after the folder: type, hosts, settings, blueprints, variables, files", function()
    local cwd = support.tmpdir()
    assert.equal(0, new(cwd, "my-2nd_Shop/").code)
    local dir = cwd .. "/my-2nd_Shop"
    local spec = support.read(dir .. "/.port/spec.yaml")
    assert.matches("\ntype: my-2nd-shop ", spec, 1, true)
    assert.matches("name: my2ndShopUrl\n", spec, 1, true)
    assert.matches("https://my-2nd-shop.example.com\n", spec, 1, true)
    assert.matches("title: My 2nd Shop\n", spec, 1, true)
    assert.matches('"my2ndShopBook"', support.read(dir .. "/.port/resources/blueprints.json"), 1, true)
    local all = support.run({ "grep", "-ril", "bookshop", dir })
    assert.equal("", all.out)
    assert.matches("./spec/my-2nd-shop_spec.lua\n", files(dir), 1, true)
    assert.equal(0, support.run({ support.bin, "test", dir }).code)
    -- the variable that its comments name is the one that counts
    local variable = spec:match "Set by (OCEAN__%S+URL)"
    local result = support.run({ support.bin, "resync", dir }, { cwd = cwd, env = { [variable] = "nowhere" } })
    assert.equal(2, result.code)
    assert.matches(variable, result.err, 1, true)
  end)

  it("is the example of the repository, word by word, with the types beside it", function()
    local cwd = support.tmpdir()
    assert.equal(0, new(cwd, "bookshop").code)
    local example = support.root .. "/examples/bookshop"
    local result = support.run { "diff", "-r", "-x", ".types", "-x", ".moontide", cwd .. "/bookshop", example }
    assert.equal("", result.out .. result.err)
    result = support.run { "diff", "-r", cwd .. "/bookshop/.types", support.root .. "/lua/moontide/types" }
    assert.equal("", result.out .. result.err)
    assert.same({ ".types" }, support.json.decode(support.read(cwd .. "/bookshop/.luarc.json"))["workspace.library"])
  end)

  it("takes an empty folder, also the working directory and one with a repository in it", function()
    local cwd = support.tmpdir()
    os.execute("mkdir -p " .. cwd .. "/shelf/.git")
    local result = new(cwd .. "/shelf", ".")
    assert.equal(0, result.code, result.err)
    assert.matches("type: shelf ", support.read(cwd .. "/shelf/.port/spec.yaml"), 1, true)
    assert.equal(0, new(cwd, "deep/er/2fa").code)
    assert.matches("type: bundle-2fa ", support.read(cwd .. "/deep/er/2fa/.port/spec.yaml"), 1, true)
    assert.equal(0, support.run({ support.bin, "test", cwd .. "/deep/er/2fa" }).code)
  end)

  it("refuses a folder that is not empty, and leaves it as it is", function()
    local cwd = support.tmpdir()
    support.write(cwd .. "/shop/notes.txt", "mine")
    local before = files(cwd)
    local result = new(cwd, "shop")
    assert.equal(2, result.code)
    assert.matches("shop is not empty (it holds notes.txt)", result.err, 1, true)
    assert.equal(before, files(cwd))
    result = new(cwd, "shop/notes.txt")
    assert.equal(2, result.code)
    assert.matches("is a file, not a folder", result.err, 1, true)
  end)

  it("refuses a name that makes no identifier, and wrong usage", function()
    for message, words in pairs {
      ["makes no name"] = { "日本" }, ["which folder?"] = { "" }, ["takes one folder, not 2"] = { "a", "b" },
      ["too long"] = { ("a"):rep(100) }, ["needs a letter or a digit"] = { "..." },
    } do
      local cwd = support.tmpdir()
      local result = new(cwd, table.unpack(words))
      assert.equal(2, result.code)
      assert.matches(message, result.err, 1, true)
      assert.equal("", files(cwd))
    end
    assert.equal(2, new(support.tmpdir()).code)
  end)

  it("says where it cannot write, and exits 1", function()
    local result = new(support.tmpdir(), "/proc/shop")
    assert.equal(1, result.code)
    assert.matches("/proc/shop", result.err, 1, true)
  end)
end)
