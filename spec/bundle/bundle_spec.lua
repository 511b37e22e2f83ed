-- A bundle as a folder: what makes one, who it is, its default resources, and which of its files can be read.
local support = require "spec.support"
local driver = support.driver "config_driver"

local function folder(files, name)
  local dir = support.tmpdir() .. "/" .. (name or "My Bundle")
  support.write(dir .. "/main.lua", "-- main")
  for file, text in pairs(files or {}) do
    support.write(dir .. "/" .. file, text)
  end
  return dir
end

local function open(dir)
  local result = support.run { driver, "bundle", dir }
  local name, type, version, mapping, counts = result.out:match "^(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n$"
  return { code = result.code, err = result.err, name = name, type = type, version = version, mapping = mapping,
    counts = counts }
end

local function refuses(dir, pattern)
  local b = open(dir)
  assert.are.equal(1, b.code)
  assert.matches(pattern, b.err)
end

describe("a folder", function()
  it("is a bundle when it holds main.lua", function()
    refuses("/nowhere/at/all", "^not_found: the bundle /nowhere/at/all cannot be opened: No such file")
    refuses(support.tmpdir(), "is not a bundle: it holds no main.lua")
    refuses(folder() .. "/main.lua", "is not a bundle: name the folder that holds main.lua")
    assert.are.equal(0, open(folder()).code)
  end)

  it("may be named with a trailing slash or a dot", function()
    local dir = folder(nil, "thing")
    assert.are.equal("thing", open(dir .. "/").name)
    assert.are.equal("thing", open(dir .. "/./.").name)
  end)
end)

describe("type and version of a bundle", function()
  it("come from the spec, then pyproject.toml, then the folder's name (architecture 3.1)", function()
    local toml = '[build-system]\nname = "wrong"\n[tool.poetry]\nname = "Jenkins-X" # comment\nversion = '
      .. '\'1.2.3\'\n[tool.other]\nversion = "9"\n'
    local b = open(folder())
    assert.are.same({ "My Bundle", "my-bundle", "0.0.0" }, { b.name, b.type, b.version })
    b = open(folder { ["pyproject.toml"] = toml })
    assert.are.same({ "jenkins-x", "1.2.3" }, { b.type, b.version })
    b = open(folder { ["pyproject.toml"] = '[project]\nname="a"\n', [".port/spec.yaml"] = "version: 2.5\n" })
    assert.are.same({ "a", "2.5" }, { b.type, b.version })
    b = open(folder { ["pyproject.toml"] = toml, [".port/spec.yaml"] = "type: GitHub-Ocean\nversion: '7'\n" })
    assert.are.same({ "github-ocean", "7" }, { b.type, b.version })
  end)

  it("must fit a request header and a path", function()
    refuses(folder { [".port/spec.yaml"] = "type: a b\n" }, 'the type "a b" and the version "0%.0%.0" may hold letters')
    refuses(folder { [".port/spec.yaml"] = "type: [x]\n" }, '%.port/spec%.yaml: "type" must be a text')
  end)
end)

describe("the spec file", function()
  it("is the first of .json, .yaml, .yml (R-CFG-12)", function()
    assert.are.equal("j", open(folder { [".port/spec.json"] = '{"type":"j"}', [".port/spec.yaml"] = "type: y",
      [".port/spec.yml"] = "type: z" }).type)
    assert.are.equal("y", open(folder { [".port/spec.yaml"] = "type: y", [".port/spec.yml"] = "type: z" }).type)
    assert.are.equal("z", open(folder { [".port/spec.yml"] = "type: z" }).type)
  end)

  it("that is broken is named with its line (R-CFG-12)", function()
    refuses(folder { [".port/spec.yaml"] = "a: 1\nb: [\n" }, "%.port/spec%.yaml:3:1: ")
    refuses(folder { [".port/spec.json"] = "{,}" }, "%.port/spec%.json: not valid JSON at byte 1 %(line 1, column 2%)")
    refuses(folder { [".port/spec.yaml"] = "- a\n" }, "%.port/spec%.yaml: its top level must be an object")
  end)
end)

describe("default resources", function()
  it("are read by their base names (R-INIT-13)", function()
    local b = open(folder { [".port/resources/blueprints.json"] = '[{"identifier":"a"},{"identifier":"b"}]',
      [".port/resources/port-app-config.yml"] = "resources: []",
        [".port/resources/scorecards.yaml"] = "- blueprint: a\n",
      [".port/resources/README.md"] = "ignored", [".port/resources/blueprints-old.json"] = "{" })
    assert.are.equal("2 1 1 -1 -1", b.counts)
    assert.are.equal(".port/resources/port-app-config.yml", b.mapping)
  end)

  it("may be absent, which is said (R-INIT-13)", function()
    local b = open(folder())
    assert.are.equal("-1 -1 -1 -1 -1", b.counts)
    assert.matches("WARN .*has no %.port/resources", b.err)
  end)

  it("that are wrong are refused by name (R-INIT-13)", function()
    refuses(folder { [".port/resources/blueprints.txt"] = "" },
      "%.port/resources/blueprints%.txt: blueprints must be a %.json, %.yaml or %.yml file")
    refuses(folder { [".port/resources/pages.json/x"] = "" },
      "%.port/resources/pages%.json is a folder, it must be a file")
    refuses(folder { [".port/resources/blueprints.json"] = "{}" }, "blueprints%.json: its top level must be a list")
    refuses(folder { [".port/resources/port-app-config.yaml"] = "[]" },
      "port%-app%-config%.yaml: its top level must be an object")
    refuses(folder { [".port/resources/actions.json"] = "[1,]" }, "actions%.json: not valid JSON")
    refuses(folder { [".port/resources/pages.json"] = "[]", [".port/resources/pages.yml"] = "[]" },
      "holds both pages%.%w+ and pages%.%w+: remove one")
  end)
end)

describe("a file of a bundle", function()
  local dir = folder({ ["lib/client.lua"] = "return 1", [".port/resources/blueprints.json"] = "[]" }, "b")
  support.write(dir .. "-outside/secret", "s3cret")
  os.execute(("ln -s ../b-outside/secret %s/link; ln -s lib/client.lua %s/inside; ln -s ../b-outside %s/folder; "
    .. "mkfifo %s/pipe"):format(dir, dir, dir, dir))

  local function read(file)
    return support.run({ driver, "read", dir, file }, { timeout = 10 })
  end

  it("is read by its relative path, also through a link that stays inside", function()
    assert.are.equal("return 1", read("lib/client.lua").out)
    assert.are.equal("return 1", read("inside").out)
  end)

  it("that does not exist is told apart", function()
    assert.matches("^not_found: ", read("lib/none.lua").err)
    assert.matches("^not_found: ", read("main.lua/x").err)
  end)

  it("is never outside of it", function()
    for _, name in ipairs { "../b-outside/secret", "/etc/passwd", "lib/../../b-outside/secret", "", "lib//client.lua",
      "./main.lua", "lib/", ".." } do
      local result = read(name)
      assert.are.equal(1, result.code)
      assert.matches("is no file name inside of the bundle", result.err)
    end
    assert.matches("is a symbolic link that leaves the bundle", read("link").err)
    assert.matches("is a symbolic link that leaves the bundle", read("folder/secret").err)
  end)

  it("is a plain file of a bounded size", function()
    assert.matches("is not a file", read("lib").err)
    assert.matches("is not a file", read("pipe").err)
    support.write(dir .. "/large", ("x"):rep(2 << 20))
    assert.matches("^limit: .*is too large", read("large").err)
  end)
end)
