/* SPDX-License-Identifier: Apache-2.0 */
/**
 * conf (L1): JSON and YAML with positions, canonical JSON, and the option table from which
 * flags, YAML keys, --help, the option pages and shell completions are made.
 *
 * A JSON value is jansson's json_t everywhere in smelt.  jansson and libfyaml are included
 * by this module's callers only through this header.
 */
#ifndef SMELT_CONF_H
#define SMELT_CONF_H

#include <jansson.h>

#include "smelt/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------ JSON and YAML */

/** Parse one JSON document (RFC 8259; duplicate keys, NUL in strings, invalid UTF-8,
 * depth > 64, integers beyond 64 bits and trailing bytes are errors).  Messages read
 * "NAME:LINE:COL: ...".
 * @param[out] out new reference, release with json_decref */
SM_API sm_status sm_json_parse(json_t **out, const char *data, size_t len,
                               const char *name, sm_err *err);
SM_API sm_status sm_json_load(json_t **out, const char *path, sm_err *err);

/** Canonical JSON (RFC 8785): sorted keys, shortest numbers, no space.  Integers beyond
 * 2^53 are refused with SM_EINVAL (write them as strings). Appends to out. */
SM_API sm_status sm_json_canonical(sm_buf *out, const json_t *value, sm_err *err);
/** Readable JSON (2 spaces, keys in insertion order), newline at the end. */
SM_API sm_status sm_json_pretty(sm_buf *out, const json_t *value, sm_err *err);

/** A string of text that may not be UTF-8 (a file name, a word of the command line): bytes
 * that are not become U+FFFD.  New reference, NULL when out of memory. */
SM_API json_t *sm_json_string(const char *text);

/** A member of an object: "" or 0 where it is absent or of another type, or where the
 * object is NULL.  The text is the object's. */
SM_API const char *sm_json_text(const json_t *object, const char *key);
SM_API int64_t sm_json_int(const json_t *object, const char *key);
SM_API double sm_json_real(const json_t *object, const char *key);

/** Where each node of a YAML document came from: looked up by JSON pointer ("/steps/2/in").
 */
typedef struct sm_positions sm_positions;

/** Parse YAML 1.2 core schema into JSON values.  Anchors, tags other than the core ones,
 * duplicate keys and documents beyond the first are errors "NAME:LINE:COL: ...", SM_EINVAL
 * all of them: YAML is what people write, so a fault in it is wrong configuration.
 * @param[out] pos  may be NULL; release with sm_positions_free */
SM_API sm_status sm_yaml_parse(json_t **out, sm_positions **pos, const char *data,
                               size_t len, const char *name, sm_err *err);
SM_API sm_status sm_yaml_load(json_t **out, sm_positions **pos, const char *path,
                              sm_err *err);
/** Append "/key" to a pointer, '~' and '/' of the key escaped as RFC 6901 says.  False without
 * memory. */
SM_API bool sm_pointer_push(sm_buf *pointer, const char *key);
/** "NAME:LINE:COL" of a pointer (the nearest enclosing node when absent); borrowed. */
SM_API const char *sm_positions_at(const sm_positions *pos, const char *pointer);
/** The same of the key of a mapping's member, for keys that should not be there. */
SM_API const char *sm_positions_key(const sm_positions *pos, const char *pointer);
SM_API void sm_positions_free(sm_positions *pos);

/* -------------------------------------------------------------- option table */

typedef enum sm_option_type {
    SM_OPT_BOOL,
    SM_OPT_INT,    /* min..max inclusive                        */
    SM_OPT_FLOAT,  /* min..max inclusive, finite                */
    SM_OPT_STRING,
    SM_OPT_ENUM,   /* choices: "a|b|c"                          */
    SM_OPT_PATH,   /* a file or directory the user names        */
    SM_OPT_REF,    /* a ref of the workspace                    */
    SM_OPT_LIST    /* repeated flag, YAML list of strings       */
} sm_option_type;

/**
 * One option.  `key` is its YAML key in snake_case; its flag is "--" + key with '-' for
 * '_'.  A BOOL is set by --key and cleared by --no-key.
 */
typedef struct sm_option {
    const char *key;
    sm_option_type type;
    const char *def;      /* default as text; NULL = required, "" = unset    */
    double min, max;      /* INT and FLOAT; both 0 = unbounded                */
    const char *choices;  /* ENUM                                             */
    const char *unit;     /* shown in --help: "tokens", "bytes"; may be NULL  */
    const char *help;     /* one line, says what it is for                    */
    bool affects_result;  /* enters the recipe id when it differs from `def`  */
} sm_option;

/** Ends a table. */
#define SM_OPTION_END {.key = NULL}

/** Resolve options: defaults, then `given` (object from YAML or flags; may be NULL), each
 * value checked for type, range and choice; unknown keys are refused with the nearest
 * known name.  `where` prefixes messages ("run.yaml:3:5", "flag").  *out is a new object
 * that holds every key of the table. */
SM_API sm_status sm_options_resolve(json_t **out, const sm_option *table,
                                    const json_t *given, const char *where, sm_err *err);
/** Check the keys that `given` has (not which are missing), each message beginning with the
 * position of the key at fault: given is the node at `pointer` of a document read with
 * positions.  For pipeline files. */
SM_API sm_status sm_options_check(const sm_option *table, const json_t *given,
                                  const sm_positions *pos, const char *pointer,
                                  sm_err *err);
/** The option called `key`, NULL when there is none. */
SM_API const sm_option *sm_option_find(const sm_option *table, const char *key);
/** The key most like `key`, or the known name most like `name`, for "did you mean"; NULL
 * when none is near. Borrowed from the table. */
SM_API const char *sm_option_nearest(const sm_option *table, const char *key);
SM_API const char *sm_nearest_name(const char *name, const char *const *known, size_t n);
/** The options that affect the result and differ from their defaults, for a recipe. */
SM_API json_t *sm_options_recipe(const sm_option *table, const json_t *resolved);
/** Set one key of `given` from text, as a flag does (parses by type, no range check).  */
SM_API sm_status sm_options_set_text(json_t *given, const sm_option *table,
                                     const char *key, const char *text, sm_err *err);

/* Typed access to a resolved object; the key must be in the table (assert). */
SM_API int64_t sm_opt_int(const json_t *resolved, const char *key);
SM_API double sm_opt_float(const json_t *resolved, const char *key);
SM_API bool sm_opt_bool(const json_t *resolved, const char *key);
/** Borrowed; "" when unset. */
SM_API const char *sm_opt_str(const json_t *resolved, const char *key);
/** Borrowed array of strings. */
SM_API const json_t *sm_opt_list(const json_t *resolved, const char *key);

/** What stands for the value in help: "N", "PATH", an ENUM's choices; "" for a BOOL.  Borrowed. */
SM_API const char *sm_option_metavar(const sm_option *o);

/* Renderings of a table: text for --help, Markdown for docs/, roff for the man page. */
SM_API bool sm_options_help(sm_buf *out, const sm_option *table);
SM_API bool sm_options_markdown(sm_buf *out, const sm_option *table);
SM_API bool sm_options_roff(sm_buf *out, const sm_option *table);

#ifdef __cplusplus
}
#endif
#endif
