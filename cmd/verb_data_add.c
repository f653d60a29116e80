/* SPDX-License-Identifier: Apache-2.0 */
/* smelt data add: files into a source. */
#include "cmd.h"

const verb verb_data_add = {
    .name = "data add",
    .usage = "PATH...",
    .summary = "read files, directories and archives into documents",
    .details =
        "A PATH is a directory, an archive (tar, zip, .deb; gzip, xz, zstd, bzip2), a\n"
        ".jsonl file, or a document: plain text, Markdown, reStructuredText, HTML, a\n"
        "man page.  smelt data show says what was left out.",
    .example = "smelt data add ~/packages/*.deb --as docs",
    .options = step_verb_options,
    .step = "data.add",
    .pos_option = "paths",
    .max_pos = -1,
    .run = run_step_verb,
};
