/* The mapping as a whole (PortAppConfig, R-MAP-01): its flags and its compiled resources. */
#ifndef MT_BUNDLE_APPCONFIG_H
#define MT_BUNDLE_APPCONFIG_H

#include "jq/mapping.h"

struct mt_appconfig {
    bool merge;                /* enableMergeEntity, true */
    bool delete_dependents;    /* deleteDependentEntities, true */
    bool create_missing;       /* createMissingRelatedEntities, true */
    double deletion_threshold; /* entityDeletionThreshold, 0.9 */
    struct mt_mapping **resources;
    unsigned resource_count;
    struct mt_doc *doc;   /* the mapping itself, a reference */
    struct mt_key digest; /* of its canonical form */
};

/* Validates and takes apart. snake_case spellings of the flags are accepted, unknown keys ignored. Errors
 * name source, key, value. */
enum mt_rc mt_appconfig_new(struct mt_val mapping, const struct mt_mapping_options *options,
                            struct mt_appconfig **out, struct mt_err *err);
void mt_appconfig_free(struct mt_appconfig *a);
/* The form that is sent to Port (A-INT-13): flags filled in, wire names, null members of resources removed.
 */
enum mt_rc mt_appconfig_wire(const struct mt_appconfig *a, struct mt_doc **out, struct mt_err *err);

#endif
