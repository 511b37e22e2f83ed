-- tide.time: moments as seconds since the epoch (UTC), and as ISO 8601 text.
local core = ...
local options = require "moontide.options"

local time = {}

local UNITS = { seconds = 1, minutes = 60, hours = 3600, days = 86400, weeks = 604800 }
local NAMES = { seconds = "number", minutes = "number", hours = "number", days = "number", weeks = "number" }

--- Now, with microseconds.
function time.now()
  return core.now()
end

--- A clock that only goes forward, for measuring; its zero means nothing.
function time.monotonic()
  return core.monotonic()
end

--- "2024-05-01T12:00:00Z", "2024-05-01T12:00:00.5+02:00", "2024-05-01" → seconds, or nil and the reason.
function time.parse(text)
  if type(text) ~= "string" then
    error(("time.parse: a string, got a %s"):format(type(text)), 2)
  end
  return core.iso_parse(text)
end

--- An HTTP date (RFC 9110) → seconds, or nil and the reason.
function time.parse_http(text)
  if type(text) ~= "string" then
    error(("time.parse_http: a string, got a %s"):format(type(text)), 2)
  end
  return core.http_date_parse(text)
end

--- seconds (default: now) → "2024-05-01T12:00:00Z"; with milliseconds when there is a fraction and `fraction` is set.
function time.format(seconds, fraction)
  seconds = seconds or core.now()
  if type(seconds) ~= "number" or seconds ~= seconds or seconds < -62135596800 or seconds > 253402300799 then
    error("time.format: seconds since the epoch, in the years 1 to 9999", 2)
  end
  local whole = math.floor(seconds)
  local text = os.date("!%Y-%m-%dT%H:%M:%S", whole)
  text = ("0"):rep(19 - #text) .. text
  local milliseconds = math.floor((seconds - whole) * 1000)
  if fraction then
    text = ("%s.%03d"):format(text, milliseconds)
  end
  return text .. "Z"
end

--- The moment so long ago, in seconds since the epoch: time.ago{days = 7}, time.ago(3600).
function time.ago(span)
  local total = 0
  if type(span) == "number" then
    total = span
  else
    if type(span) ~= "table" then
      error(("time.ago: seconds or a table such as { days = 7 }, got a %s"):format(type(span)), 2)
    end
    options.check("time.ago", span, NAMES, 2)
    for unit, n in pairs(span) do
      total = total + n * UNITS[unit]
    end
  end
  return core.now() - total
end

return time
