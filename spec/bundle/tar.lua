--- Packed bundles made by hand, so that they can be wrong in every way: tar (ustar) in a frame of zstd whose blocks
-- are not compressed, manifests, checksums. Bytes only; nothing of moontide's own writer.
local support = require "spec.support"

local tar = {}

local function field(value, size)
  assert(#value <= size, value)
  return value .. ("\0"):rep(size - #value)
end

--- One entry: header and content. options: type ("0"), link, size (of the header), prefix, mode.
function tar.entry(name, content, options)
  options = options or {}
  content = content or ""
  local before = field(name, 100) .. field("0000644", 8) .. field("0000000", 8) .. field("0000000", 8)
    .. field(("%011o"):format(options.size or #content), 12) .. field("00000000000", 12)
  local after = (options.type or "0") .. field(options.link or "", 100) .. "ustar\0" .. "00" .. field("", 32)
    .. field("", 32) .. field("0000000", 8) .. field("0000000", 8) .. field(options.prefix or "", 155) .. field("", 12)
  local sum = 8 * 32
  for c in (before .. after):gmatch "." do
    sum = sum + c:byte()
  end
  return before .. ("%06o\0 "):format(sum) .. after .. content .. ("\0"):rep(-#content % 512)
end

--- An extended header (pax) for the entry that follows: pax{ path = "…" }.
function tar.pax(records)
  local text = {}
  for key, value in pairs(records) do
    local length = #key + #value + 3
    repeat
      local n = length
      length = #tostring(n) + #key + #value + 3
    until length == n
    text[#text + 1] = ("%d %s=%s\n"):format(length, key, value)
  end
  return tar.entry("pax", table.concat(text), { type = "x" })
end

tar.ending = ("\0"):rep(1024)

local function block(kind, size, last)
  return ("<I3"):pack(size << 3 | kind << 1 | (last and 1 or 0))
end

--- A frame of zstd (RFC 8878) around parts: texts, and { byte, count } for a run of one byte (RLE blocks).
function tar.frame(parts, options)
  options = options or {}
  local out = { "\x28\xB5\x2F\xFD", string.char(options.descriptor or 0), string.char(options.window or 0x40) }
  local most = 128 << 10
  for _, part in ipairs(parts) do
    if type(part) == "table" then
      local left = part[2]
      while left > 0 do
        local n = math.min(left, most)
        out[#out + 1] = block(1, n) .. part[1]
        left = left - n
      end
    else
      for at = 1, #part, most do
        local piece = part:sub(at, at + most - 1)
        out[#out + 1] = block(0, #piece) .. piece
      end
    end
  end
  out[#out + 1] = block(0, 0, true)
  return table.concat(out)
end

local folder, sums = support.tmpdir(), {}
--- SHA-256 as hexadecimal digits; of a text, or of what a shell command prints.
function tar.sha256(text, command)
  local file, known = folder .. "/sum", command or text
  if sums[known] then
    return sums[known]
  end
  support.write(file, text)
  local pipe = assert(io.popen((command or "cat " .. support.quote(file)) .. " | sha256sum"))
  sums[known] = pipe:read "a":match "^%x+"
  pipe:close()
  return sums[known]
end

--- A manifest for files { { path, content } … }; changes: what differs (members of the top level), or a function
-- that is given the text and returns another.
function tar.manifest(files, changes)
  local list = {}
  for i, file in ipairs(files) do
    list[i] = ('{"path":%s,"size":%s,"sha256":"%s"}'):format(support.json.encode(file[1]),
      file.size or #file[2], file.sha256 or tar.sha256(file[2]))
  end
  local members = { format = "1", name = '"x"', type = '"x"', version = '"1"',
    runtime = '{"from":"0.0.0","below":"999.0.0"}', kinds = "[]", hosts = '{"names":[],"settings":[]}',
    files = "[" .. table.concat(list, ",") .. "]" }
  for name, value in pairs(type(changes) == "table" and changes or {}) do
    members[name] = value or nil
  end
  local text = {}
  for name, value in pairs(members) do
    text[#text + 1] = ('"%s":%s'):format(name, value)
  end
  table.sort(text)
  text = "{" .. table.concat(text, ",") .. "}\n"
  return type(changes) == "function" and changes(text) or text
end

--- The two entries that come first.
function tar.head(manifest)
  return tar.entry("manifest.json", manifest) .. tar.entry("manifest.sha256", tar.sha256(manifest) .. "\n")
end

return tar
