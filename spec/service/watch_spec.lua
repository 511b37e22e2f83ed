-- What a save, a checkout or a deployment does to a watched bundle. Nothing here waits a fixed time: a second
-- path (the mark) is watched by the same process, and what was done to it is told after what was done before.
local support = require "spec.support"

local function sh(text, ...)
  local words = {}
  for i, word in ipairs { ... } do
    words[i] = support.quote(word)
  end
  local ok = os.execute(("set -e; set -- %s; %s"):format(table.concat(words, " "), text))
  assert(ok, "failed: " .. text)
end

describe("a watched bundle", function()
  local top, bundle, mark, watcher

  local function count(number)
    local n = 0
    for found in watcher:output():gmatch "changed (%d)" do
      if tonumber(found) == number then
        n = n + 1
      end
    end
    return n
  end

  -- How many changes of the bundle were told once everything that happened so far was dealt with.
  local function settled()
    local before = count(2)
    support.write(mark .. "/mark", "")
    support.await("the mark", function()
      return count(2) > before
    end)
    return count(1)
  end

  -- Runs a shell text with $1 = bundle, $2 = the folder it lies in; it must be noticed.
  local function noticed(what, text)
    local before = settled()
    sh(text, bundle, top)
    support.await(what, function()
      return count(1) > before
    end)
  end

  local function unnoticed(text)
    local before = settled()
    sh(text, bundle, top)
    assert.are.equal(before, settled(), text)
  end

  local function watch(path, env)
    watcher = support.spawn({ support.driver "watch_driver", path, mark }, env)
    assert.are.equal("watching", watcher.line)
  end

  before_each(function()
    top, mark = support.tmpdir(), support.tmpdir()
    bundle = top .. "/demo"
    support.write(bundle .. "/main.lua", "-- one\n")
    support.write(bundle .. "/lib/client.lua", "return {}\n")
    support.write(bundle .. "/.port/spec.yaml", "type: demo\n")
    support.write(bundle .. "/.git/index", "x")
    support.write(bundle .. "/.moontide/state.db", "x")
    support.write(bundle .. "/node_modules/x/index.js", "x")
  end)

  after_each(function()
    if watcher then
      assert.are.equal(0, watcher:stop "TERM")
      watcher = nil
    end
  end)

  it("tells of a file that is written in place, below every folder, hidden .port too", function()
    watch(bundle)
    noticed("main.lua", 'echo two >"$1/main.lua"')
    noticed("lib", 'echo two >>"$1/lib/client.lua"')
    noticed(".port", 'echo two >"$1/.port/spec.yaml"')
    noticed("a new file", 'echo new >"$1/lib/new.lua"')
    noticed("a removed file", 'rm "$1/lib/new.lua"')
    noticed(".env", 'echo A=b >"$1/.env"')
  end)

  it("tells of what vim, emacs, VS Code and mv do when they save", function()
    watch(bundle)
    noticed("vim", [[cd "$1"; touch .main.lua.swp; touch 4913; rm 4913; mv main.lua main.lua~; echo three >main.lua;
      rm main.lua~; rm .main.lua.swp]])
    noticed("emacs", [[cd "$1"; ln -s user@host.1 .#main.lua; cp main.lua main.lua~; echo four >'#main.lua#'
      echo four >main.lua; rm '#main.lua#' .#main.lua]])
    noticed("emacs with renames", [[cd "$1"; mv main.lua main.lua~; echo five >main.lua]])
    noticed("VS Code", [[truncate -s 0 "$1/main.lua"; echo six >"$1/main.lua"]])
    noticed("JetBrains", [[cd "$1"; echo seven >main.lua___jb_tmp___; mv main.lua main.lua___jb_old___
      mv main.lua___jb_tmp___ main.lua; rm main.lua___jb_old___]])
    noticed("mv new old", [[echo eight >"$2/new.lua"; mv "$2/new.lua" "$1/main.lua"]])
    noticed("sed -i", [[sed -i s/eight/nine/ "$1/main.lua"]])
    noticed("rm, then create", [[rm "$1/main.lua"; echo ten >"$1/main.lua"]])
    noticed("a save that changes nothing", [[cp "$1/main.lua" "$2/same"; cat "$2/same" >"$1/main.lua"]])
  end)

  it("says nothing of what never runs: editors' own files, .git, .moontide, node_modules, a state file", function()
    watch(bundle)
    unnoticed 'touch "$1/.main.lua.swp" "$1/.main.lua.swx" "$1/4913" "$1/main.lua~"; rm "$1/4913"'
    unnoticed [[ln -s user@host.1 "$1/.#main.lua"; echo x >"$1/#main.lua#"; touch "$1/.goutputstream-ABC123"]]
    unnoticed 'echo x >"$1/.git/index"; mkdir "$1/.git/objects"; echo x >"$1/.moontide/state.db"'
    unnoticed 'echo x >"$1/node_modules/x/index.js"; mkdir "$1/node_modules/y"'
    unnoticed 'echo x >"$1/state.db"; echo x >"$1/state.db-wal"; rm "$1/state.db-wal"'
    unnoticed 'echo x >"$2/elsewhere"; mkdir "$2/demo2"; echo x >"$2/demo2/main.lua"'
    unnoticed 'cat "$1/main.lua" >/dev/null; ls "$1/lib" >/dev/null'
  end)

  it("tells of a half written file when it is closed, not before", function()
    watch(bundle)
    local before = settled()
    local file = assert(io.open(bundle .. "/main.lua", "w"))
    local new = assert(io.open(bundle .. "/new.lua", "w"))
    file:write("half")
    file:flush()
    new:write("half")
    new:flush()
    assert.are.equal(before, settled())
    file:close()
    new:close()
    support.await("the end of the writing", function()
      return count(1) > before
    end)
  end)

  it("tells of a burst once or twice, not once a file", function()
    watch(bundle)
    local before = settled()
    for i = 1, 300 do
      support.write(("%s/lib/file%d.lua"):format(bundle, i), "return " .. i)
    end
    local told = settled() - before
    assert.is_true(told >= 1 and told <= 10, told .. " times for 300 files")
  end)

  it("tells of changes that do not end, too", function()
    watch(bundle)
    local before = settled()
    local writer = support.spawn { "sh", "-c", 'echo on; while :; do echo x >"$0/main.lua"; sleep 0.01; done', bundle }
    support.await("a change while they go on", function()
      return count(1) >= before + 3
    end)
    writer:stop "KILL"
  end)

  it("follows folders that appear, with what is in them, and that are renamed or moved away", function()
    watch(bundle)
    noticed("a new folder", 'mkdir -p "$1/a/b/c"')
    noticed("a file in it", 'echo x >"$1/a/b/c/new.lua"')
    noticed("a folder that is moved in", 'mkdir -p "$2/other/deep"; echo x >"$2/other/deep/x.lua"; mv "$2/other" "$1/other"')
    noticed("a file of it", 'echo y >"$1/other/deep/x.lua"')
    noticed("a rename", 'mv "$1/other" "$1/renamed"')
    noticed("a file of the renamed", 'echo z >"$1/renamed/deep/x.lua"')
    noticed("a folder that is moved away", 'mv "$1/renamed" "$2/gone"')
    unnoticed 'echo x >"$2/gone/deep/x.lua"'
  end)

  it("sees a folder in the place of a file, and the file again", function()
    watch(bundle)
    noticed("the folder", 'rm "$1/main.lua"; mkdir "$1/main.lua"')
    noticed("what is in it", 'echo x >"$1/main.lua/x.lua"')
    noticed("the file", 'rm -r "$1/main.lua"; echo x >"$1/main.lua"')
    noticed("its change", 'echo y >"$1/main.lua"')
  end)

  it("finds the bundle again when it, or a folder above it, was removed and made again", function()
    bundle = top .. "/a/b/demo"
    support.write(bundle .. "/main.lua", "")
    watch(bundle)
    noticed("the removal", 'rm -r "$1"')
    noticed("the folder", 'mkdir "$1"')
    noticed("the file", 'echo x >"$1/main.lua"')
    noticed("the removal of all", 'rm -r "$2/a"')
    sh('mkdir "$2/a"', bundle, top)
    noticed("all of it", 'mkdir "$2/a/b" "$1"; echo x >"$1/main.lua"')
    noticed("a later change", 'echo y >"$1/main.lua"')
    noticed("a rename above", 'mv "$2/a" "$2/was"')
    unnoticed 'echo z >"$2/was/b/demo/main.lua"'
    noticed("its return", 'mv "$2/was" "$2/a"')
    noticed("a change after it", 'echo z >"$1/main.lua"')
  end)

  it("waits for a bundle that is not there yet", function()
    bundle = top .. "/later/demo"
    watch(bundle)
    unnoticed 'echo x >"$2/other"'
    noticed("the bundle", 'mkdir -p "$1"; echo x >"$1/main.lua"')
    noticed("a change", 'echo y >"$1/main.lua"')
  end)

  it("tells of a packed file that is written in place, replaced by a rename, removed, made a folder", function()
    bundle = top .. "/demo.mtb"
    support.write(bundle, "one")
    watch(bundle)
    noticed("in place", 'echo two >"$1"')
    noticed("mv", 'echo three >"$1.new"; mv "$1.new" "$1"')
    unnoticed 'echo x >"$1.sig"; echo x >"$2/demo.mtx"'
    noticed("rm", 'rm "$1"')
    noticed("again", 'echo four >"$1"')
    noticed("a folder", 'rm "$1"; mkdir "$1"')
    noticed("what is in it", 'echo x >"$1/main.lua"')
    noticed("a file again", 'rm -r "$1"; echo five >"$1"')
    noticed("in place again", 'echo six >"$1"')
  end)

  it("follows a symbolic link that is turned to another release, relative, absolute or through another", function()
    sh([[mkdir -p "$2/releases/5" "$2/releases/6"; echo 5 >"$2/releases/5/main.lua"; echo 6 >"$2/releases/6/main.lua"
      ln -s releases/5 "$2/current"; ln -s "$2/./current/../5" "$2/stable"]], bundle, top)
    bundle = top .. "/stable"
    watch(bundle)
    noticed("a change behind it", 'echo 55 >"$2/releases/5/main.lua"')
    unnoticed 'echo 66 >"$2/releases/6/main.lua"'
    noticed("the turn", 'ln -s releases/6 "$2/next"; mv -T "$2/next" "$1"')
    noticed("a change behind the new one", 'echo 67 >"$2/releases/6/main.lua"')
    unnoticed 'echo 56 >"$2/releases/5/main.lua"'
    noticed("a loop", 'ln -sfn stable "$1"')
    noticed("its end", 'ln -sfn "$2/releases/5" "$1"')
    noticed("a change after it", 'echo 57 >"$2/releases/5/main.lua"')
  end)

  it("sees a Kubernetes ConfigMap change its ..data", function()
    bundle = top .. "/mounted"
    sh([[mkdir -p "$1/..2026_1"; cd "$1"; echo 1 >..2026_1/main.lua; ln -s ..2026_1 ..data; ln -s ..data/main.lua main.lua]],
      bundle)
    watch(bundle)
    local swap = [[cd "$1"; mkdir ..2026_N; echo N >..2026_N/main.lua; ln -s ..2026_N ..data_tmp
      mv -T ..data_tmp ..data; rm -r ..2026_O]]
    noticed("a swap", (swap:gsub("N", "2"):gsub("O", "1")))
    noticed("the next one", (swap:gsub("N", "3"):gsub("O", "2")))
  end)

  it("takes a path relative to where it was started", function()
    watcher = support.spawn({ support.driver "watch_driver", "./demo/../demo", mark }, { cwd = top })
    noticed("main.lua", 'echo two >"$1/main.lua"')
  end)

  it("counts lost events as a change", function()
    local limit = tonumber((support.read "/proc/sys/fs/inotify/max_queued_events"))
    if not limit or limit > 100000 then
      pending "the queue of this system is too long to fill"
      return
    end
    watch(bundle)
    local before = settled()
    watcher:signal "STOP"
    -- Alternating, since equal neighbours are merged; the mark's own instance has a queue of its own.
    sh(([[cd "$1"; set +e; i=0; while [ $i -lt %d ]; do : >a.lua; : >b.lua; i=$((i+1)); done; echo x >lib/last.lua]])
      :format(limit // 2 + 100), bundle)
    watcher:signal "CONT"
    support.await("the change", function()
      return count(1) > before
    end)
    noticed("a change after it", 'echo y >"$1/lib/client.lua"')
  end)

  -- Limits of a user namespace: nobody else is disturbed.
  local function limited(name, value)
    return support.run { "unshare", "-Ur", "sh", "-c", 'echo "$0" >/proc/sys/user/"$1" && shift && exec "$@"', value, name,
      support.driver "watch_driver", bundle }
  end

  it("says which limit of inotify is reached, and how to raise it", function()
    if support.run({ "unshare", "-Ur", "sh", "-c", "echo 50 >/proc/sys/user/max_inotify_watches" }).code ~= 0 then
      pending "no user namespaces here"
      return
    end
    local watches = limited("max_inotify_watches", "2")
    assert.are.equal(1, watches.code)
    assert.matches("^error io cannot watch /.*fs%.inotify%.max_user_watches", watches.out)
    local instances = limited("max_inotify_instances", "0")
    assert.are.equal(1, instances.code)
    assert.matches("^error io cannot watch .*fs%.inotify%.max_user_instances", instances.out)
  end)

  it("goes on with what it could watch, and says so, when the limit is reached later", function()
    if support.run({ "unshare", "-Ur", "sh", "-c", "echo 50 >/proc/sys/user/max_inotify_watches" }).code ~= 0 then
      pending "no user namespaces here"
      return
    end
    watcher = support.spawn { "unshare", "-Ur", "sh", "-c", 'echo 40 >/proc/sys/user/max_inotify_watches && exec "$@"', "sh",
      support.driver "watch_driver", bundle, mark }
    assert.are.equal("watching", watcher.line)
    noticed("many folders", 'for i in $(seq 60); do mkdir "$1/lib/folder$i"; done')
    support.await("the warning", function()
      return select(2, watcher:output()):find("fs.inotify.max_user_watches", 1, true)
    end)
    noticed("main.lua", 'echo two >"$1/main.lua"')
  end)
end)
