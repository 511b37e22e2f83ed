explode, (explode | reverse | implode), utf8bytelength, length, test("é"), indices("a"), ascii_upcase, trim, (tojson | fromjson)
" aéa "
