@json, @text, @html, (tostring | @base64 | ., @base64d), ([.] | @sh, @tsv)
"a<b>'c'\t"
12.50
