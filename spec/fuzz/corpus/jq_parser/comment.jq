1 # one \
two
+ 3 # four