/* A library that moontide stands on, as it was built with it and as it was loaded: each room tells of its
 * own, for doctor. Texts are of static storage. */
#ifndef MT_BASE_LIBRARY_H
#define MT_BASE_LIBRARY_H

struct mt_library {
    const char *name;
    const char *built;  /* the version of its headers; NULL: they do not tell */
    const char *loaded; /* the version at work */
    const char *detail; /* "OpenSSL/3.0.19", "at least"; NULL */
};

#endif
