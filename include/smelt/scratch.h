/* SPDX-License-Identifier: Apache-2.0 */
/**
 * scratch (part of module flow, L8): what recipes that did not end have left below
 * .smelt/tmp: checkpoints, curves, spools.  It is there so that the same step goes on where
 * it stopped; a recipe that nobody runs again leaves it for ever.
 */
#ifndef SMELT_SCRATCH_H
#define SMELT_SCRATCH_H

#include "smelt/base.h"
#include "smelt/store.h"

#ifdef __cplusplus
extern "C" {
#endif

/** [{"recipe": first 16 digits of its id, "bytes", "files", "touched": time of the newest
 * file, "running": a process works in it}], largest first; new reference. */
SM_API sm_status sm_scratch_list(json_t **out, sm_store *store, sm_err *err);

/** Remove the scratch that no process works in.  What is removed can be made again, from the
 * beginning.
 * @param[out] n, bytes  what was removed; also set on error */
SM_API sm_status sm_scratch_clean(int64_t *n, int64_t *bytes, sm_store *store, sm_err *err);

#ifdef __cplusplus
}
#endif
#endif
