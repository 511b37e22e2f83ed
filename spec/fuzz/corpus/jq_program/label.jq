[label $out | foreach .[] as $x (0; . + $x; if . > 5 then ., break $out else . end)]
[1,2,3,4,5]
