/* SPDX-License-Identifier: Apache-2.0 */
/**
 * tracks (flow, L8): several architectures from one file, at equal compute or equal time,
 * and what came of it.  docs/tracks.md has the file's keys and the rules of comparison.
 *
 * Every run is an ordinary recorded train step; the report is a recorded step over their
 * models.  Running a file again does no work twice; an interrupted one goes on.
 */
#ifndef SMELT_TRACKS_H
#define SMELT_TRACKS_H

#include "smelt/flow.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sm_tracks_config {
    const char *path; /* the file of tracks                                          */
    const char *dir;  /* where resolved.yaml and the report go; NULL: NAME.tracks     */
    const char *ref;  /* name of the report in the workspace; NULL: the file's `name` */
} sm_tracks_config;

/** Run a file of tracks: resolve budgets to steps (and write them to DIR/resolved.yaml,
 * from which the same runs can be made again to the bit), train, halve, report.
 * @param[out] out  the report's artifact: report.json, report.html, report.svg
 * @return SM_EINVAL (the file, with position), SM_ECANCEL (every run has saved what it
 *         had), and what training and the store return */
SM_API sm_status sm_flow_tracks(sm_flow_result *out, const sm_ctx *ctx, sm_store *store,
                                const sm_tracks_config *c, sm_err *err);
/** What that would take: {"name", "runs", "tracks": [{"track", "parameters", "active",
 * "flops_per_token", "tokens_per_step", "steps" (null: not resolved yet)}]}. Nothing is
 * measured or written. New reference. */
SM_API sm_status sm_flow_tracks_plan(json_t **out, const sm_ctx *ctx, sm_store *store,
                                     const sm_tracks_config *c, sm_err *err);
/** report.json as tables for a terminal. */
SM_API bool sm_tracks_table(sm_buf *out, const json_t *report);

#ifdef __cplusplus
}
#endif
#endif
