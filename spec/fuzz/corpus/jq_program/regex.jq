[match("(?<y>\\d+)-(\\w)?"; "g") | .captures[].string], gsub("(?<l>[a-z])"; "<\(.l)>"), [scan("..")], test("A"; "ix")
"12-a and 345-"
