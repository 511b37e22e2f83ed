def fac: if . <= 1 then 1 else . * (. - 1 | fac) end; [range(8) | fac]
