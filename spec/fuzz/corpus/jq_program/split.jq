split(", "), (split("b+"; null) | join("/")), ascii_downcase, ltrimstr("a"), (. * 2), (. / ","), .[1:-1], .[-2:]
"aBb, abbb, é😀"
