/* YAML (libyaml, YAML 1.1 scalars as PyYAML resolves them, since Ocean's files are read by it) and JSON files
 * into documents. */
#ifndef MT_BUNDLE_YAML_H
#define MT_BUNDLE_YAML_H

#include "base/library.h"
#include "json/document.h"

/* One YAML document. Scalars: null, booleans (yes/no/on/off too), integers, floats; timestamps stay text.
 * Anchors, aliases and merge keys work; alias bombs are refused (1,000,000 nodes). Errors: MT_EINVAL with
 * name, line and column. */
enum mt_rc mt_yaml_parse(struct mt_slice text, const char *name, struct mt_doc **out, struct mt_err *err);
/* By the extension of its name: .json, .yaml, .yml. */
enum mt_rc mt_yaml_read(struct mt_slice text, const char *name, struct mt_doc **out, struct mt_err *err);
/* The same from disk. MT_ENOENT when the file is absent. */
enum mt_rc mt_yaml_read_file(const char *path, const char *name, struct mt_doc **out, struct mt_err *err);

/* Where the nodes of a text are: its lines by path ("resources[2].port.entity"). JSON counts as YAML here.
 * NULL when the text cannot be read; release with mt_keyset_free. */
struct mt_keyset *mt_yaml_lines(struct mt_slice text);
/* The line of that path or, when it has none, of the nearest node above it; 0: unknown. */
unsigned mt_yaml_line(const struct mt_keyset *lines, const char *path);

struct mt_library mt_yaml_library(void);

#endif
