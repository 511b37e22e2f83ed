-- tide.log: lines in the program's log. log.info("%d repositories of %s", n, org): %-formats as string.format has
-- them; tables and views are written as JSON, secrets as ***.
local core = ...

local log = {}

local LONGEST = 2000 -- bytes of one value: a page of a list is no log line

local function shown(value)
  if type(value) == "table" or type(value) == "userdata" then
    local ok, text = false, nil
    if core.json.kind(value) and not core.is_secret(value) then
      ok, text = pcall(core.json.encode, value)
    end
    text = ok and text or tostring(value)
    return #text <= LONGEST and text or text:sub(1, LONGEST) .. "…"
  end
  return value
end

local function write(level, text, ...)
  local n = select("#", ...)
  text = shown(text)
  if n > 0 then
    local values = { ... }
    for i = 1, n do
      values[i] = shown(values[i])
    end
    local ok, line = pcall(string.format, tostring(text), table.unpack(values, 1, n))
    if not ok then -- a log line must not end a resync
      line = tostring(text)
      for i = 1, n do
        line = line .. " " .. tostring(values[i])
      end
    end
    text = line
  end
  core.log(level, tostring(text))
end

for _, level in ipairs { "debug", "info", "warn", "error" } do
  log[level] = function(text, ...)
    write(level, text, ...)
  end
end

return log
