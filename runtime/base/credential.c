/* The scan for credentials: see credential.h. Numbers in comments are those of R-LOG-09's list.
 *
 * Two thirds of the bytes of a text begin nothing and are stepped over by a table. A pattern that runs to the
 * last fitting quote of its line, or from its begin, asks for that place once a line. Where a pattern of
 * Ocean's hides too little it is mended: a URL's path goes with its password (1, 10), and a PEM block goes
 * with its header (6). */
#include "base/credential.h"

#include <strings.h>

enum {
    UNKNOWN = 0, /* of line_end and quoted_line, which are never 0 once known: they are kept plus one */
    PEM_LINE = 16
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_alnum(char c)
{
    return is_digit(c) || is_letter(c);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_quote(char c)
{
    return c == '\'' || c == '"' || c == '|';
}

static bool is_name(char c)
{
    return is_alnum(c) || c == '_' || c == '-';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_base64(char c)
{
    return is_alnum(c) || c == '+' || c == '/' || c == '=';
}

static bool is_pem_word(char c)
{
    return (c >= 'A' && c <= 'Z') || c == ' ';
}

static bool starts(struct mt_slice t, size_t at, struct mt_slice word)
{
    return t.n - at >= word.n && memcmp(t.p + at, word.p, word.n) == 0;
}

static bool starts_any_case(struct mt_slice t, size_t at, struct mt_slice word)
{
    return t.n - at >= word.n && strncasecmp(t.p + at, word.p, word.n) == 0;
}

/* End of the run of such characters that begins at `at`. */
static size_t run(struct mt_slice t, size_t at, bool (*is)(char c))
{
    while (at < t.n && is(t.p[at]))
        at++;
    return at;
}

/* By memchr rather than memmem: the sanitizers' memmem looks at all of the text at each call. */
static size_t find(struct mt_slice t, size_t from, struct mt_slice word)
{
    for (const char *hit; from < t.n && (hit = memchr(t.p + from, word.p[0], t.n - from)); from++) {
        from = (size_t)(hit - t.p);
        if (starts(t, from, word))
            return from;
    }
    return t.n;
}

static size_t line_end(struct mt_credential_scan *s, size_t at)
{
    if (s->line_end == UNKNOWN || s->line_end - 1 < at)
        s->line_end = find(s->text, at, MT_SLICE("\n")) + 1;
    return s->line_end - 1;
}

/* 2, 3, 8: from the keyword at `at` up to the last quoted run of the line, if that begins behind the word. */
static size_t keyword(struct mt_credential_scan *s, size_t at, size_t length, bool github)
{
    const struct mt_slice t = s->text;
    const size_t end = line_end(s, at);
    if (s->quoted_line != end + 1) {
        s->quoted_line = end + 1;
        s->quoted45.end = s->quoted40.end = 0;
        for (size_t i = at; i < end;) {
            const size_t from = i, to = run((struct mt_slice){t.p, end}, i, is_alnum), n = to - from;
            if (n >= 32 && n <= 45 && from > at && to < end && is_quote(t.p[from - 1]) && is_quote(t.p[to])) {
                s->quoted45.begin = from - 1;
                s->quoted45.end = to + 1;
                if (n >= 35 && n <= 40) {
                    s->quoted40.begin = from - 1;
                    s->quoted40.end = to + 1;
                }
            }
            i = to + 1;
        }
    }
    const size_t begin = github ? s->quoted40.begin : s->quoted45.begin;
    const size_t last = github ? s->quoted40.end : s->quoted45.end;
    return last && begin >= at + length ? last : 0;
}

/* 1, 10: a URL whose authority holds a password. */
static size_t url(const struct mt_credential_scan *s, size_t at, size_t *begin)
{
    const struct mt_slice t = s->text;
    size_t from = at, end = at + 3, colon = 0, sign = 0;
    while (from > s->floor && (is_alnum(t.p[from - 1]) || strchr("+.-", t.p[from - 1])))
        from--;
    while (from < at && !is_letter(t.p[from]))
        from++;
    if (from == at)
        return 0;
    for (; end < t.n && !is_blank(t.p[end]) && !strchr("/\"\\<>", t.p[end]); end++) {
        if (t.p[end] == ':' && !colon)
            colon = end;
        if (t.p[end] == '@' && colon && end > colon + 1)
            sign = end;
    }
    if (!sign || sign + 1 == end)
        return 0;
    end = sign;
    while (end < t.n && !is_blank(t.p[end]) && !strchr("\"'\\<>", t.p[end]))
        end++;
    *begin = from;
    return end;
}

/* 6: "-----BEGIN RSA PRIVATE KEY-----" and what follows: up to the end line, else the lines of base64 that
 * are there. Line ends may be escaped ones. */
static size_t pem(struct mt_credential_scan *s, size_t at)
{
    const struct mt_slice t = s->text;
    static const struct mt_slice dashes = {"-----", 5};
    const size_t words = at + sizeof "-----BEGIN " - 1;
    size_t i = run(t, words, is_pem_word);
    if (find((struct mt_slice){t.p, i}, words, MT_SLICE("PRIVATE KEY")) == i || !starts(t, i, dashes))
        return 0;
    i += dashes.n;
    if (s->pem_end < i)
        s->pem_end = find(t, i, MT_SLICE("-----END "));
    if (s->pem_end < t.n &&
        find((struct mt_slice){t.p, s->pem_end}, i, MT_SLICE("-----BEGIN ")) == s->pem_end) {
        const size_t last = run(t, s->pem_end + 9, is_pem_word);
        return starts(t, last, dashes) ? last + dashes.n : last;
    }
    for (size_t next = i;;) {
        while (next < t.n && (is_blank(t.p[next]) || (t.p[next] == '\\' && next + 1 < t.n &&
                                                      (t.p[next + 1] == 'n' || t.p[next + 1] == 'r'))))
            next += t.p[next] == '\\' ? 2 : 1;
        const size_t end = run(t, next, is_base64);
        if (end - next < PEM_LINE)
            return i;
        i = next = end;
    }
}

/* 5: everything of the line up to its last "firebaseio.com". */
static size_t firebase(struct mt_credential_scan *s, size_t at)
{
    static const struct mt_slice word = {"firebaseio.com", 14};
    size_t last = 0;
    if (s->firebase < at || !at)
        s->firebase = find(s->text, at, word);
    if (s->firebase == s->text.n)
        return 0;
    while (s->firebase < line_end(s, at)) {
        last = s->firebase + word.n;
        s->firebase = find(s->text, last, word);
    }
    return last;
}

static size_t mws(struct mt_slice t, size_t at)
{
    static const unsigned groups[] = {8, 4, 4, 4, 12};
    size_t i = at + sizeof "amzn.mws." - 1;
    for (size_t g = 0; g < 5; g++) {
        if (g && (i >= t.n || t.p[i++] != '-'))
            return 0;
        for (unsigned n = 0; n < groups[g]; n++, i++)
            if (i >= t.n || !is_hex(t.p[i]))
                return 0;
    }
    return i;
}

/* Digits, "-", 32 of [0-9A-Za-z_], and the domain that begins at `at`. */
static size_t oauth_client(const struct mt_credential_scan *s, size_t at, size_t *begin)
{
    static const struct mt_slice domain = {".apps.googleusercontent.com", 27};
    const struct mt_slice t = s->text;
    if (!starts(t, at, domain) || at - s->floor < 34 || t.p[at - 33] != '-')
        return 0;
    for (size_t i = at - 32; i < at; i++)
        if (!is_alnum(t.p[i]) && t.p[i] != '_')
            return 0;
    size_t from = at - 33;
    while (from > s->floor && is_digit(t.p[from - 1]))
        from--;
    *begin = from;
    return from < at - 33 ? at + domain.n : 0;
}

static bool is_aws(char c)
{
    return is_digit(c) || (c >= 'A' && c <= 'Z');
}

static bool is_google(char c)
{
    return is_name(c) || c == '\\' || c == ']' || c == '^';
}

/* A prefix and at least `least` such characters; at most `most` are taken. */
static size_t token(struct mt_slice t, size_t at, struct mt_slice prefix, bool (*is)(char c), size_t least,
                    size_t most)
{
    if (!starts(t, at, prefix))
        return 0;
    const size_t from = at + prefix.n;
    if (t.n - from > most)
        t.n = from + most;
    const size_t end = run(t, from, is);
    return end - from >= least ? end : 0;
}

/* The end of what begins at the byte `at`, or around it (then *begin changes); 0: nothing does. */
static size_t find_at(struct mt_credential_scan *s, size_t at, size_t *begin)
{
    const struct mt_slice t = s->text;
    const size_t all = t.n;
    size_t end = 0;
    switch (t.p[at]) {
    case 'a':
    case 'A':
        if ((end = token(t, at, MT_SLICE("AIza"), is_google, 35, 35)) != 0 || /* 4 */
            (end = token(t, at, MT_SLICE("AKIA"), is_aws, 16, 16)) != 0)      /* 7 */
            return end;
        if (starts(t, at, MT_SLICE("amzn.mws.")))
            return mws(t, at);
        if (starts_any_case(t, at, MT_SLICE("apikey")))
            return keyword(s, at, 6, false);
        return starts_any_case(t, at, MT_SLICE("api_key")) ? keyword(s, at, 7, false) : 0;
    case 's':
    case 'S':
        return starts_any_case(t, at, MT_SLICE("secret")) ? keyword(s, at, 6, false) : 0;
    case 'g':
    case 'G':
        /* GitHub's own forms, which need no word or quote beside them. */
        if ((end = token(t, at, MT_SLICE("github_pat_"), is_name, 22, all)) != 0)
            return end;
        if (t.n - at > 3 && t.p[at + 1] == 'h' && strchr("pousr", t.p[at + 2]) && t.p[at + 3] == '_' &&
            (end = run(t, at + 4, is_alnum)) - at >= 40)
            return end;
        return starts_any_case(t, at, MT_SLICE("github")) ? keyword(s, at, 6, true) : 0;
    case 'y':
        return token(t, at, MT_SLICE("ya29."), is_name, 1, all);
    case ':':
        return starts(t, at, MT_SLICE("://")) ? url(s, at, begin) : 0;
    case '-':
        return starts(t, at, MT_SLICE("-----BEGIN ")) ? pem(s, at) : 0;
    case '"': /* 9 */
        return starts(t, at, MT_SLICE("\"type\": \"service_account\"")) ? at + 25 : 0;
    case '.':
        return oauth_client(s, at, begin);
    }
    return 0;
}

static const bool begins[256] = {
    ['a'] = true, ['A'] = true, ['s'] = true, ['S'] = true, ['g'] = true, ['G'] = true,
    ['y'] = true, [':'] = true, ['-'] = true, ['"'] = true, ['.'] = true, ['\n'] = true};

void mt_credential_scan(struct mt_credential_scan *s, struct mt_slice text)
{
    *s = (struct mt_credential_scan){.text = text, .fresh = true};
}

bool mt_credential_next(struct mt_credential_scan *s, size_t *out_begin, size_t *out_end)
{
    const struct mt_slice t = s->text;
    for (size_t i = s->at; i < t.n; i++) {
        size_t begin = i, end = 0;
        if (s->fresh) {
            s->fresh = false;
            end = firebase(s, i);
        }
        if (!end) {
            while (i < t.n && !begins[(unsigned char)t.p[i]])
                i++;
            if (i == t.n)
                break;
            if (t.p[i] == '\n') {
                s->fresh = true;
                continue;
            }
            begin = i;
            end = find_at(s, i, &begin);
        }
        if (end) {
            s->fresh = memchr(t.p + begin, '\n', end - begin) != NULL;
            s->at = s->floor = end;
            *out_begin = begin;
            *out_end = end;
            return true;
        }
    }
    s->at = t.n;
    return false;
}
