/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The parts of `data show`: show_gather.c reads the files into one summary, and the others
 * only render it, so that text, JSON and page say the same.
 *
 * The summary:
 *   {"name", "kind": "dataset"|"source", "preset",
 *    "parts":   [{"name", "documents", "bytes", "lengths": [26]}],
 *    "steps":   [{"step", "does", "removed", "changed", "parameters"}],
 *    "reasons": [{"name", "step", "documents", "bytes"}]        most documents first
 *    "packages", "licences", "languages", "formats":
 *               [{"name", "kept", "rejected", "bytes"}]         most bytes first
 *    "skipped": {why: n}, "errors": [[path, text]]              sources only
 *    "near_duplicates": [{"kept", "removed", "estimate"}],
 *    "samples": {"kept": [...], "rejected": [...]}}
 * A sample is {"id", "path", "title", "package", "licence", "lang", "reason", "detail",
 * "bytes", "text"}.
 */
#ifndef SMELT_DATA_SHOW_H
#define SMELT_DATA_SHOW_H

#include "smelt/data.h"

sm_status sm_show_gather(json_t **out, const sm_ctx *ctx, const sm_data_files *files,
                         const json_t *options, sm_err *err);
bool sm_show_html(sm_buf *out, const json_t *summary);

/* Drawings of the page (inline SVG; colours come from the page's CSS classes). */
bool sm_svg_lengths(sm_buf *out, const json_t *parts);
bool sm_svg_reasons(sm_buf *out, const json_t *reasons);
bool sm_svg_steps(sm_buf *out, const json_t *summary);

/** Append text with &, <, >, " escaped; white space kept. */
bool sm_html_put(sm_buf *out, const char *text);
/** "12.3 MB", "845 B". */
void sm_show_bytes(char out[24], int64_t bytes);
/** "12,345". */
void sm_show_count(char out[32], int64_t n);

#endif
