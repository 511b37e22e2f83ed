/* moontide inspect: what a packed bundle says about itself, also of one that is refused, as far as it can be
 * read safely. */
#include <stdio.h>
#include <stdlib.h>

#include "bundle/archive.h"
#include "bundle/bundle.h"
#include "cli/command.h"

struct inspection {
    const char *path;
    struct mt_package package;
    struct mt_err refusal; /* rc MT_OK: it is not refused */
    char signer[MT_KEY_TEXT];
};

/* Text of a file that nobody vouches for: what a terminal would act on is not shown. */
static void print_text(struct mt_slice text)
{
    for (size_t i = 0; i < text.n; i++)
        putchar((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7F ? '?' : text.p[i]);
}

static void print_member(struct mt_val root, const char *title, const char *path)
{
    struct mt_val v;
    if (!mt_val_path(root, path, &v) || !mt_val_is(v, MT_STRING))
        return;
    printf("%-10s", title);
    print_text(mt_val_string(v));
    putchar('\n');
}

static unsigned print_list(struct mt_val root, const char *path)
{
    struct mt_val list, entry;
    unsigned count = 0;
    for (uint32_t i = 0; mt_val_path(root, path, &list) && mt_val_index(list, i, &entry); i++)
        if (mt_val_is(entry, MT_STRING)) {
            fputs(count++ ? ", " : "", stdout);
            print_text(mt_val_string(entry));
        }
    return count;
}

static void print_hosts(struct mt_val root)
{
    struct mt_val settings;
    fputs("hosts     ", stdout);
    if (!print_list(root, "hosts.names")) {
        puts("any: its spec names none");
        return;
    }
    if (mt_val_path(root, "hosts.settings", &settings) && mt_val_count(settings)) {
        fputs(", and those of the settings ", stdout);
        print_list(root, "hosts.settings");
    }
    putchar('\n');
}

static void print_files(struct mt_val root)
{
    struct mt_val list, entry, path, size, hash;
    if (!mt_val_member(root, MT_SLICE("files"), &list))
        return;
    printf("files     %u\n", mt_val_count(list));
    for (uint32_t i = 0; mt_val_index(list, i, &entry); i++) {
        if (!mt_val_member(entry, MT_SLICE("path"), &path) ||
            !mt_val_member(entry, MT_SLICE("size"), &size) ||
            !mt_val_member(entry, MT_SLICE("sha256"), &hash))
            continue;
        struct mt_slice bytes = mt_val_literal(size), digest = mt_val_string(hash);
        printf("  %10.*s  %.12s  ", (int)(bytes.n < 20 ? bytes.n : 20), bytes.n ? bytes.p : "",
               digest.n == 64 ? digest.p : "?");
        print_text(mt_val_string(path));
        putchar('\n');
    }
}

static void print(const struct inspection *in)
{
    struct mt_val root = mt_doc_root(in->package.manifest->doc);
    print_member(root, "name", "name");
    print_member(root, "type", "type");
    print_member(root, "version", "version");
    fputs("signed by ", stdout);
    puts(in->package.is_signed ? in->signer : "nobody");
    print_member(root, "moontide", "runtime.from");
    print_member(root, "  below", "runtime.below");
    fputs("kinds     ", stdout);
    print_list(root, "kinds");
    putchar('\n');
    print_hosts(root);
    print_files(root);
    if (in->refusal.rc != MT_OK) {
        fputs("REFUSED   what is above was read, but it is not to be relied on: ", stdout);
        print_text(mt_slice_of(in->refusal.text));
        putchar('\n');
    }
}

static void put_text(struct mt_buf *out, const char *name, const char *value)
{
    mt_buf_printf(out, ",\"%s\":", name);
    if (value)
        mt_buf_put_json_string(out, mt_slice_of(value));
    else
        mt_buf_puts(out, "null");
}

static void print_json(const struct inspection *in)
{
    struct mt_buf out;
    mt_buf_init(&out, 64 << 20);
    bool refused = in->refusal.rc != MT_OK;
    mt_buf_printf(&out, "{\"ok\":%s", refused ? "false" : "true");
    put_text(&out, "refused", refused ? in->refusal.text : NULL);
    put_text(&out, "signer", in->package.is_signed ? in->signer : NULL);
    mt_buf_puts(&out, ",\"manifest\":");
    if (in->package.manifest)
        mt_val_write(mt_doc_root(in->package.manifest->doc), &out);
    else
        mt_buf_puts(&out, "null");
    printf("%s}\n", mt_buf_text(&out));
    mt_buf_fini(&out);
}

/* The bundle as a whole may be refused where its archive is not. */
static void judge(struct inspection *in)
{
    struct mt_bundle *bundle = NULL;
    if (in->refusal.rc == MT_OK && mt_bundle_open(in->path, NULL, &bundle, &in->refusal) == MT_OK)
        in->refusal.rc = MT_OK;
    mt_bundle_free(bundle);
}

static int run(int argc, char **argv)
{
    const struct mt_command *self = &mt_command_inspect;
    struct inspection in = {.refusal = {.rc = MT_OK}};
    struct mt_buf bytes;
    bool json = false;
    int n = mt_options_parse(self, argc, argv, (struct mt_option[]){{.name = "json", .flag = &json}, {0}});
    if (n < 0)
        return MT_EXIT_USAGE;
    if (n != 1)
        return mt_usage_error(self, n ? "takes one file, not %d" : "which file? (FILE.mtb)", n);
    in.path = argv[1];
    mt_buf_init(&bytes, MT_ARCHIVE_BYTES);
    enum mt_rc rc = mt_archive_read_file(argv[1], &bytes, &in.refusal);
    if (rc == MT_OK) {
        in.refusal.rc = MT_OK;
        if (mt_package_read(mt_buf_slice(&bytes), NULL, false, &in.package, &in.refusal) == MT_OK)
            in.refusal.rc = MT_OK;
        judge(&in);
    }
    mt_public_key_text(&in.package.signer, in.signer);
    int code = MT_EXIT_OK;
    if (json && rc == MT_OK)
        print_json(&in);
    else if (in.package.manifest)
        print(&in);
    if (!in.package.manifest) {
        if (!json || rc != MT_OK) {
            mt_err_context(&in.refusal, "%.300s", argv[1]);
            mt_command_failed(self, &in.refusal, 0);
        }
        code = MT_EXIT_FAILED;
    }
    mt_package_fini(&in.package);
    mt_buf_fini(&bytes);
    return code;
}

const struct mt_command mt_command_inspect = {
    .name = "inspect",
    .usage = "moontide inspect FILE.mtb [--json]",
    .summary = "Shows what a packed bundle says about itself: kinds, hosts, files, who signed it",
    .help = "  --json   {\"ok\",\"refused\",\"signer\",\"manifest\"} on stdout\n"
            "Shows a bundle that would be refused, too, as far as it can be read safely, and says so.\n"
            "exit codes: 0 shown; 1 no manifest can be read; 2 usage\n",
    .run = run,
};
