/* What doctor says of machines that a spec cannot be:
 *   doctor_driver limits ROOT [FILES]         with the /proc and /sys below ROOT, at most FILES open
 *   doctor_driver library BUILT LOADED        of a library of these versions
 *   doctor_driver certificates FILE FOLDER    with these as the system's
 * One line a check on stdout: its verdict (0 to 2), a colon, its text. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "cli/doctor.h"

int main(int argc, char **argv)
{
    struct mt_checkup c = {0};
    if (argc < 3)
        return 2;
    if (strcmp(argv[1], "limits") == 0) {
        struct rlimit files, all;
        getrlimit(RLIMIT_NOFILE, &all);
        files = all;
        if (argc > 3)
            files.rlim_cur = (rlim_t)atoi(argv[3]);
        setrlimit(RLIMIT_NOFILE, &files);
        mt_check_limits(&c, argv[2]);
        setrlimit(RLIMIT_NOFILE, &all); /* sanitizers open files at the end */
    } else if (strcmp(argv[1], "library") == 0) {
        mt_check_library(&c, &(struct mt_library){"libx", argv[2], argv[3], NULL});
    } else {
        mt_check_certificates(&c, argv[2], argv[3]);
    }
    for (size_t i = 0; i < c.count; i++)
        printf("%d %s: %s\n", (int)c.list[i].verdict, c.list[i].check, c.list[i].text);
    mt_checkup_fini(&c);
    return 0;
}
