"\(.a) and @\(.b)" , @base64 "x\(.a)y", @uri "?q=\(.a)", @csv "\([.a, .b])"
{"a":"ä b","b":12}
