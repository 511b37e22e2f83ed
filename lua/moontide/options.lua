-- Named options of the library's functions: what is unknown is an error that names the nearest, never passed in
-- silence.
local options = {}

-- Optimal string alignment, cut off where it does not matter: names are short.
local function distance(a, b)
  local previous, current = {}, {}
  for j = 0, #b do
    previous[j] = j
  end
  for i = 1, #a do
    current[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      current[j] = math.min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + cost)
    end
    previous, current = current, previous
  end
  return previous[#b]
end

--- The name of the list that looks most like the wrong one, or nil when none does.
function options.nearest(wrong, names)
  local best, least
  wrong = tostring(wrong):sub(1, 60)
  for _, name in ipairs(names) do
    local d = distance(wrong:lower():gsub("_", ""), (name:lower():gsub("_", "")))
    if not least or d < least then
      best, least = name, d
    end
  end
  if least and least <= math.max(2, #wrong // 3) then
    return best
  end
  return nil
end

--- "…: did you mean x?" or "…: it knows a, b, c".
function options.advice(wrong, names)
  local best = options.nearest(wrong, names)
  if best then
    return ('did you mean "%s"?'):format(best)
  end
  if #names == 0 then
    return "there are none"
  end
  local list = table.move(names, 1, #names, 1, {})
  table.sort(list)
  return "there are: " .. table.concat(list, ", ")
end

--- Raises when t has a name that `known` (name → type or true) does not have, or a value of another type. "what"
--- names the function. Returns t, or an empty table for nil.
function options.check(what, t, known, level)
  level = (level or 1) + 1
  if t == nil then
    return {}
  end
  if type(t) ~= "table" then
    error(("%s: options are a table, got a %s"):format(what, type(t)), level)
  end
  for name, value in pairs(t) do
    local want = known[name]
    if want == nil then
      local names = {}
      for k in pairs(known) do
        names[#names + 1] = k
      end
      table.sort(names)
      error(('%s: unknown option "%s": %s'):format(what, tostring(name), options.advice(name, names)), level)
    end
    if want ~= true and not (" " .. want .. " "):find(" " .. type(value) .. " ", 1, true) then
      error(("%s: option %s is a %s, got a %s"):format(what, name, (want:gsub(" ", " or a ")), type(value)), level)
    end
  end
  return t
end

--- Seconds, from `least` up, as whole milliseconds; nil stays nil.
function options.milliseconds(what, name, seconds, level)
  if seconds == nil then
    return nil
  end
  if type(seconds) ~= "number" or seconds <= 0 or seconds > 1e6 then
    error(("%s: %s is a number of seconds above 0"):format(what, name), (level or 1) + 1)
  end
  return math.ceil(seconds * 1000)
end

--- An integer in a range; nil stays nil.
function options.integer(what, name, value, least, most, level)
  if value == nil then
    return nil
  end
  local n = math.tointeger(value)
  if type(value) ~= "number" or not n or n < least or n > most then
    error(("%s: %s is an integer from %d to %d"):format(what, name, least, most), (level or 1) + 1)
  end
  return n
end

return options
