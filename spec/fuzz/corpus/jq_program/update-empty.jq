(.[] | select(. > 2)) |= empty
[1,5,3,0,7]
