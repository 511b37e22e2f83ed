-- The registry of metrics: the text that Prometheus reads.
local support = require "spec.support"

local function run(...)
  return support.run { support.driver "metrics_driver", ... }
end

local function render(...)
  local result = run(...)
  assert.equal(0, result.code, result.err)
  return result.out
end

local promtool = support.run({ "sh", "-c", "command -v promtool" }).code == 0

describe("/metrics", function()
  it("is a text that Prometheus' own parser takes, with nothing to complain about in our names", function()
    if not promtool then return end
    local result = support.run({ "promtool", "check", "metrics" }, { stdin = render "all" })
    -- 0: fine; 3: style; 1: it does not parse. Ocean's names (R-OBS-05) are what they are.
    assert.is_true(result.code == 0 or result.code == 3, result.err)
    for line in (result.out .. result.err):gmatch "[^\n]+" do
      assert.is_nil(line:match "^moontide_" or line:match "^process_", line)
    end
    assert.equal(1, support.run({ "promtool", "check", "metrics" }, { stdin = "a{ 1\n" }).code) -- it can fail
  end)

  it("R-OBS-02 ends with # EOF, also when there is nothing to tell", function()
    assert.equal("# EOF\n", render "nothing")
    assert.is_truthy(render("all"):find "\n# EOF\n$")
  end)

  it("R-OBS-05 has Ocean's names and labels, with the integration", function()
    local text = render "all"
    for _, line in ipairs {
      'duration_seconds{integration="gh",kind="issue-0",phase="load"} 3',
      'object_count{integration="gh",kind="issue-0",phase="load",object_count_type="loaded"} 2',
      'success{integration="gh",kind="issue-0",phase="load"} 1',
      'event_loop_latency_max_ms{integration="gh",kind="issue-0"} 0.1',
      'moontide_reloads_total{integration="gh",result="reloaded"} 2',
    } do
      assert.is_truthy(text:find("\n" .. line .. "\n", 1, true), line .. " is not in " .. text)
    end
  end)

  it("has the samples of a name together, in the order of their making, with one HELP and TYPE each", function()
    local names, seen = {}, {}
    for line in render("all"):gmatch "[^\n]+" do
      local name = line:match "^# TYPE (%S+)"
      if name then
        assert.is_nil(seen[name])
        seen[name] = true
        names[#names + 1] = name
      elseif line:sub(1, 1) ~= "#" then
        assert.equal(names[#names], line:match("^" .. names[#names]), line)
      end
    end
    assert.equal("duration_seconds", names[1])
  end)

  it("tells a histogram cumulated, with sum and count; a bound belongs to its bucket", function()
    assert.equal([[
# HELP h_seconds H
# TYPE h_seconds histogram
h_seconds_bucket{le="0.5"} 2
h_seconds_bucket{le="1"} 3
h_seconds_bucket{le="2.5"} 3
h_seconds_bucket{le="+Inf"} 4
h_seconds_sum 101.85
h_seconds_count 4
# EOF
]], render("histogram", "0.5", "0.35", "1", "100"))
  end)

  it("counts labels in another order as the same sample", function()
    local text = render "all"
    assert.is_truthy(text:find('moontide_mapping_batch_seconds_count{integration="gh",kind="issue-0"} 4', 1, true), text)
    assert.equal(1, select(2, text:gsub("moontide_mapping_batch_seconds_count", "")))
  end)

  local values = { { "0.1", "0.1" }, { "1e15", "1e+15" }, { "3", "3" }, { "0.30000000000000004", "0.30000000000000004" },
    { "1795426999.25", "1795426999.25" }, { "inf", "+Inf" }, { "-inf", "-Inf" }, { "nan", "NaN" }, { "-2.5", "-2.5" } }
  for _, value in ipairs(values) do
    it("writes " .. value[1] .. " so that it reads back as the same", function()
      assert.equal("# HELP g G\n# TYPE g gauge\ng " .. value[2] .. "\n# EOF\n", render("gauge", "G", value[1]))
    end)
  end

  it("escapes label values and help texts, and leaves out labels without a value", function()
    assert.equal('# HELP g a\\\\b\\n"c"\n# TYPE g gauge\ng{kind="\\"\\\\\\nä\u{FFFD}"} 1\n# EOF\n',
      render("gauge", 'a\\b\n"c"', "1", "kind", '"\\\nä\255', "empty", ""))
    if promtool then
      local result = support.run({ "promtool", "check", "metrics" },
        { stdin = render("gauge", 'a\\b\n"c"', "1", "kind", '"\\\nä\255}') })
      assert.equal(0, result.code, result.err)
    end
  end)

  it("cuts a label value at 1,000 bytes, not inside a character", function()
    local value = render("gauge", "G", "1", "kind", "x" .. ("ä"):rep(600)):match 'kind="(.-)"'
    assert.equal("x" .. ("ä"):rep(499), value)
  end)

  it("forgets the samples of a bundle that is gone, and its names with the last one", function()
    assert.equal([[
# HELP moontide_x_total X
# TYPE moontide_x_total counter
moontide_x_total{integration="i-100"} 2
moontide_x_total{integration="i-200"} 1
# HELP only Y
# TYPE only gauge
only{integration="i-100"} 1
only{integration="i-200"} 1
# EOF
]], render "forget")
  end)

  it("stays readable when a name is used as two types, a counter is lowered or there are too many labels", function()
    local result = run "misuse"
    assert.equal("a 1", result.out:match "\n(a 1)\n")
    assert.equal("5", result.out:match "\nb_total (%d+)\n")
    assert.equal(1, select(2, result.out:gsub("\nc{", "")))
    assert.is_truthy(result.err:find("metric a is used as two types", 1, true), result.err)
  end)

  it("tells of the process: memory, open files, start", function()
    local text = render "all"
    assert.is_true(tonumber(text:match "\nprocess_resident_memory_bytes (%S+)") > 100000)
    local fds = tonumber(text:match "\nprocess_open_fds (%S+)")
    assert.is_true(fds >= 3 and fds < 20, fds)
    local start = tonumber(text:match "\nprocess_start_time_seconds (%S+)")
    assert.is_true(math.abs(os.time() - start) < 60, start)
    assert.is_truthy(text:match '\nmoontide_build_info{version="[%d.]+"} 1\n')
  end)

  it("is not there in part: a text that does not fit is an error", function()
    assert.equal(3, run("full").code)
  end)

  it("counts from several threads while it is read", function()
    local text = render "threads"
    assert.is_truthy(text:find('moontide_queue_items_count{integration="gh",kind="issue-0"} 4000', 1, true), text)
  end)

  it("allocates nothing for a sample that is known", function()
    assert.equal("0", render("speed"):match ", (%d+) bytes")
  end)
end)
