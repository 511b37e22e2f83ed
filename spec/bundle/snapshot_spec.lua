-- What is kept of a bundle when it is opened: its files as they were then, which of them there are, whether they
-- changed, and where it may go.
local support = require "spec.support"
local driver = support.driver "archive_driver"

local function folder(files, name)
  local dir = support.tmpdir() .. "/" .. (name or "b")
  support.write(dir .. "/main.lua", "-- main\n")
  for file, text in pairs(files or {}) do
    support.write(dir .. "/" .. file, text)
  end
  return dir
end

local function drive(...)
  return support.run({ driver, ... }, { timeout = 60 })
end

local function opens(dir)
  return drive("list", dir, "")
end

local everything = { ["lib/a.lua"] = "return 1", ["lib/deep/b.lua"] = "", ["config.yaml"] = "", ["README.md"] = "r",
  [".port/spec.yaml"] = "type: t\n", [".port/resources/blueprints.json"] = "[]",
  [".port/examples/k/1.json"] = "{}", ["spec/a_spec.lua"] = "", ["spec/support/h.lua"] = "",
  ["spec/recordings/r.ndjson"] = "", [".env"] = "A=1", [".git/x.lua"] = "", ["lib/.h.lua"] = "", ["notes.txt"] = "",
  [".port/other.json"] = "", [".port/resources/README.md"] = "", ["spec/data.json"] = "", ["pyproject.toml"] = "",
  ["data.json"] = "" }

describe("an opened bundle", function()
  it("is as it was then: what is saved, made or removed later belongs to the next one", function()
    local dir = folder { ["lib/a.lua"] = "1" }
    local r = drive("snapshot", dir, ("cd %s && echo changed > main.lua && echo 2 > lib/a.lua && echo 3 > new.lua")
      :format(dir))
    local first, second = r.out:match "^(%-%- main\n%x+\n)(.*)$"
    assert.are.equal(first, second)
    assert.are.equal(3, r.code)
    assert.matches("not_found: .*/new%.lua: not there when the bundle was opened", r.err)
    assert.are.equal("changed\n", drive("read", dir, "main.lua").out)
    assert.matches("^changed\n%x+\nchanged\n", drive("snapshot", dir, "rm -r " .. dir).out)
  end)

  it("lists the files of architecture 3.2 and no other, sorted", function()
    local r = drive("list", folder(everything), "")
    assert.are.equal(".port/examples/k/1.json\n.port/resources/blueprints.json\n.port/spec.yaml\nREADME.md\nconfig.yaml\n"
      .. "lib/a.lua\nlib/deep/b.lua\nmain.lua\nspec/a_spec.lua\nspec/recordings/r.ndjson\nspec/support/h.lua\n", r.out)
  end)

  it("lists what is below a folder, and refuses what is no folder inside of it", function()
    local dir = folder(everything)
    assert.are.equal("lib/a.lua\nlib/deep/b.lua\n", drive("list", dir, "lib").out)
    assert.are.equal("", drive("list", dir, "li").out)
    assert.are.equal("", drive("list", dir, "nowhere").out)
    assert.matches("is no folder inside of the bundle", drive("list", dir, "../b").err)
  end)

  it("has a digest that follows what runs, and nothing else", function()
    local dir = folder(everything)
    local function digest(prefix, suffix)
      return drive("digest", dir, prefix, suffix).out
    end
    local all, lua, none = digest("", ""), digest("", ".lua"), digest("\n", "\n")
    for _, name in ipairs { "spec/a_spec.lua", "README.md", ".port/examples/k/1.json", ".env", "notes.txt" } do
      support.write(dir .. "/" .. name, "changed")
    end
    assert.are.equal(all, digest("", ""))
    support.write(dir .. "/config.yaml", "a: 1")
    assert.are_not.equal(all, digest("", ""))
    assert.are.equal(lua, digest("", ".lua"))
    support.write(dir .. "/lib/deep/b.lua", "--")
    assert.are_not.equal(lua, digest("", ".lua"))
    assert.are_not.equal(none, digest("main.lua", "main.lua"))
    assert.are.equal(none, digest("spec/a_spec.lua", "spec/a_spec.lua"))
    all = digest("", "")
    support.write(dir .. "/pyproject.toml", '[project]\nversion = "9"\n')
    assert.are_not.equal(all, digest("", ""))
    local before = digest("", ".lua")
    os.rename(dir .. "/lib/a.lua", dir .. "/lib/c.lua")
    assert.are_not.equal(before, digest("", ".lua"))
  end)

  it("names the hosts that it may reach (architecture 3.2)", function()
    local function hosts(yaml)
      return drive("hosts", folder { [".port/spec.yaml"] = yaml })
    end
    assert.are.equal("", hosts "type: x\n".out)
    assert.are.equal("api.example.com\n*.example.org\nlocalhost:8080\n[::1]:80\n",
      hosts "hosts: [api.example.com, '*.example.org', 'localhost:8080', '[::1]:80']\n".out)
    for _, wrong in ipairs { "https://a.example", "a.example/x", "''", "'*'", "'a.*.b'", "1", "[a]", "'a b'", "'*.*.a'" } do
      assert.matches('%.port/spec%.yaml: hosts%[0%] ".*" must be a host such as', hosts("hosts: [" .. wrong .. "]\n").err)
    end
    for _, wrong in ipairs { "[]", "a.example", "{}", "1" } do
      assert.matches('%.port/spec%.yaml: "hosts" must be a list of 1 to 256', hosts("hosts: " .. wrong .. "\n").err)
    end
  end)

  it("is opened and freed ten thousand times without growth", function()
    local r = drive("cycles", support.root .. "/examples/hello", "10000")
    assert.is_true(tonumber(r.out) < 2 << 20, r.out .. r.err)
  end)
end)

describe("a folder is refused for", function()
  it("a link of what runs that leaves it, or leads to nothing", function()
    local dir = folder(nil, "l")
    support.write(dir .. "-outside/x.lua", "")
    os.execute(("ln -s %s-outside/x.lua %s/x.lua"):format(dir, dir))
    assert.matches("^invalid: .*/x%.lua is a symbolic link that leaves the bundle", opens(dir).err)
    os.execute(("ln -sf nothing %s/x.lua"):format(dir))
    assert.matches("^invalid: .*/x%.lua is a symbolic link to nothing", opens(dir).err)
  end)

  it("not links that stay inside, also in circles, nor folders elsewhere, which are left alone", function()
    local dir = folder({ ["lib/a.lua"] = "" }, "l")
    support.write(dir .. "-outside/x.lua", "")
    os.execute(("cd %s && ln -s lib/a.lua b.lua && ln -s lib lob && ln -s .. lib/up && ln -s . here && ln -s ../l-outside out"
      .. " && ln -s ../l lib/self"):format(dir))
    local r = opens(dir)
    assert.are.equal("b.lua\nlib/a.lua\nlob/a.lua\nmain.lua\n", r.out)
    assert.matches("leaves the bundle", drive("read", dir, "out/x.lua").err)
  end)

  it("not the links that Kubernetes makes of a ConfigMap", function()
    local dir = support.tmpdir() .. "/c"
    support.write(dir .. "/..2026/main.lua", "-- 1\n")
    os.execute(("cd %s && ln -s ..2026 ..data && ln -s ..data/main.lua main.lua"):format(dir))
    assert.are.equal("-- 1\n", drive("read", dir, "main.lua").out)
  end)

  it("a folder or a fifo in a file's place", function()
    assert.matches("config%.yaml is a folder, it must be a file", opens(folder { ["config.yaml/x"] = "" }).err)
    assert.matches("%.port/spec%.yaml is a folder, it must be a file", opens(folder { [".port/spec.yaml/x"] = "" }).err)
    local dir = folder()
    os.execute(("rm %s/main.lua; mkdir %s/main.lua"):format(dir, dir))
    assert.matches("is not a bundle: it holds no main%.lua", opens(dir).err)
    dir = folder()
    os.execute(("mkfifo %s/x.lua"):format(dir))
    assert.matches("x%.lua is not a file", opens(dir).err)
  end)

  it("a file that is removed, but main.lua only", function()
    local dir = folder { ["lib/a.lua"] = "" }
    os.remove(dir .. "/lib/a.lua")
    assert.are.equal("main.lua\n", opens(dir).out)
    os.remove(dir .. "/main.lua")
    assert.matches("^invalid: .* is not a bundle: it holds no main%.lua", opens(dir).err)
  end)

  it("a file, or all of them, that are too large, too many or too deep", function()
    local dir = folder()
    os.execute(("truncate -s 16777217 %s/x.lua"):format(dir))
    assert.matches("^limit: .*/x%.lua is too large: more than 16777216 bytes", opens(dir).err)
    dir = folder()
    os.execute(("for i in 1 2 3 4; do truncate -s 16777216 %s/$i.lua; done; echo x > %s/5.lua"):format(dir, dir))
    assert.matches("^limit: the files of the bundle are larger than 64 MiB together", opens(dir).err)
    dir = folder()
    os.execute(("cd %s && seq -f x%%g.lua 4100 | xargs touch"):format(dir))
    assert.matches("^limit: the bundle holds more than 4096 files", opens(dir).err)
    dir = folder()
    os.execute(("cd %s && seq -f x%%g.txt 20001 | xargs touch"):format(dir))
    assert.matches("^limit: .* holds more than 20000 files and folders: is it really a bundle", opens(dir).err)
    dir = folder()
    os.execute(("mkdir -p %s/%s"):format(dir, ("d/"):rep(20)))
    assert.matches("^limit: .*more than 16 folders below each other", opens(dir).err)
  end)

  it("a file that does not come to rest while it is read", function()
    assert.are.equal("refused whole\n", drive("growing", support.tmpdir()).out)
  end)
end)
