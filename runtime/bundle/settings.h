/* Private to bundle/: the settings that exist, their types and defaults (R-CFG-08). */
#ifndef MT_BUNDLE_SETTINGS_H
#define MT_BUNDLE_SETTINGS_H

#include "bundle/sources.h"

enum mt_setting_type {
    MT_SET_TEXT,
    MT_SET_INT,
    MT_SET_PORT,
    MT_SET_NUMBER,
    MT_SET_BOOL,
    MT_SET_URL,
    MT_SET_CHOICE,
    MT_SET_INTERVAL,
    MT_SET_DURATION, /* kept as seconds: "5400s" */
    MT_SET_LISTEN
};

struct mt_setting {
    const char *name;
    enum mt_setting_type type;
    const char *fallback; /* NULL: unset */
    const char *choices;  /* of MT_SET_CHOICE: words between '|' */
    long long least;      /* of MT_SET_INT and MT_SET_NUMBER */
    bool sensitive;
};
extern const struct mt_setting mt_settings[];
extern const unsigned mt_setting_count;

/* The position in mt_settings; -1: unknown. */
int mt_setting_find(const char *name);
/* The checked and normalised text of a leaf; NULL: it is wrong, and that was told. The caller frees it. */
char *mt_setting_value(const struct mt_sources *s, const struct mt_setting *setting,
                       const struct mt_leaf *leaf);
/* Only the process reads it: of a bundle's own sources it is not taken while there are several. */
bool mt_setting_of_process(const char *name);
/* Names the unknown ones, with what they resemble. */
void mt_settings_name_unknown(const struct mt_sources *s);

/* Spellings that configuration takes (R-CFG-15). */
bool mt_setting_bool(struct mt_slice text, bool *out);
bool mt_setting_int(struct mt_slice text, int64_t *out);
bool mt_setting_duration(struct mt_slice text, int64_t *out_seconds); /* R-LIS-21 */
/* Trailing slashes removed; NULL: not a URL. The caller frees it. */
char *mt_setting_url(struct mt_slice text, bool http_only);

#endif
