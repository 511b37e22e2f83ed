[.[] as $x | $x, error] , 1
