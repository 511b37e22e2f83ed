/* Default resources: blueprints in stages, scorecards, actions, pages (A-BP), and the blueprints that a
 * resync looks at. Calls block. */
#ifndef MT_PORT_RESOURCES_H
#define MT_PORT_RESOURCES_H

#include "port/port.h"

/* GET of a blueprint: its object; MT_EHTTP with status 404 when there is none (A-BP-01). */
enum mt_rc mt_blueprint_get(struct mt_port *port, struct mt_slice identifier, struct mt_doc **out,
                            struct mt_err *err);

struct mt_defaults {
    struct mt_val blueprints, scorecards, actions, pages; /* no value: none */
};

/* Creates the set, in the stages of A-BP-07; a failure removes what was created (A-BP-09), unless another
 * process was found to create the same set and Port did not refuse it. Calls of one process take turns. When
 * one of the blueprints exists, nothing is created (A-BP-08), unless `complete`: then the missing ones are
 * created and the others made what the file says: that is for the embedded catalog, where the files are the
 * only author. Scorecards, actions and pages that Port refuses are warnings (A-BP-14). */
enum mt_rc mt_defaults_apply(struct mt_port *port, const struct mt_defaults *defaults, bool complete,
                             struct mt_err *err);

#endif
