/* Any bytes as YAML: reading never crashes, and what is accepted is JSON that reads back as the same value,
 * as JSON and as YAML; its lines lie in the text. Scalars resolve to JSON literals. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "bundle/dotenv.h"
#include "bundle/pyproject.h"
#include "bundle/spelling.h"
#include "bundle/yaml.h"

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "yaml_fuzz: %s\n", what);
    abort();
}

static void each_variable(void *ud, struct mt_slice name, struct mt_slice value, unsigned line)
{
    unsigned *lines = ud;
    must(name.n > 0 && value.p && line > 0 && line <= *lines, "a variable of .env is nowhere");
}

static void bad_line(void *ud, unsigned line, const char *why)
{
    unsigned *lines = ud;
    must(*why && line > 0 && line <= *lines, "a line of .env is nowhere");
}

static void check_lines(struct mt_slice text, unsigned count)
{
    struct mt_keyset *lines = mt_yaml_lines(text);
    must(lines && mt_yaml_line(lines, "a.b[0]") <= count + 1, "a node is behind the end");
    mt_keyset_free(lines);
}

/* JSON of the reader's making is YAML, as far as PyYAML's numbers go: those without a dot but with an
 * exponent are text there, and are not made. */
static void check_round(struct mt_val value)
{
    struct mt_buf text;
    struct mt_doc *doc = NULL;
    mt_buf_init(&text, 256 << 20);
    must(mt_val_write(value, &text), "the value is too large");
    must(mt_doc_parse_copy(mt_buf_slice(&text), NULL, &doc, NULL) == MT_OK, "the document is no JSON");
    must(mt_val_equal(mt_doc_root(doc), value), "the document reads back as another one");
    mt_doc_unref(doc);
    mt_buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mt_slice text = {(const char *)data, size};
    struct mt_doc *doc = NULL;
    struct mt_err err;
    unsigned count = 1;
    for (size_t i = 0; i < size; i++)
        count += data[i] == '\n' || data[i] == '\r' || data[i] == 0x85 || data[i] == 0xa8 || data[i] == 0xa9;
    if (mt_yaml_parse(text, "f", &doc, &err) == MT_OK) {
        check_round(mt_doc_root(doc));
        check_lines(text, count);
        mt_doc_unref(doc);
    } else {
        must(err.rc != MT_OK && err.text[0] == 'f', "an error without a place");
    }
    mt_dotenv_parse(text, each_variable, bad_line, &count);
    free(mt_pyproject_value(text, "name"));
    char *snake = mt_spelling_snake(text), *camel = mt_spelling_camel(text);
    free(snake);
    free(camel);
    return 0;
}
