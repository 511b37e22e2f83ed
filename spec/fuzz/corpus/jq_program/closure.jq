def f(g; $n): if $n == 0 then . else (g | f(g; $n - 1)) end; f(. * 2 + 1; 4)
1
