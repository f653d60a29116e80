/* SPDX-License-Identifier: Apache-2.0 */
/**
 * extract (part of module data, L4): readers that turn one document's bytes into text.
 *
 * The text every reader writes, whatever the source format:
 *  - valid UTF-8, lines end with '\n', no trailing blanks, no NUL or C0 controls except
 *    tab, soft hyphens and zero-width marks of the source removed (but not where they may
 *    be halves of a doubly encoded letter, which a later step repairs);
 *  - paragraphs are one line each, separated by one blank line; only a forced break of the
 *    source (.br, <br>) is a line break inside a paragraph;
 *  - a heading is a line of its own: "# NAME" and "## Sub" for sections and subsections of
 *    manual pages, one to six signs as the level says for other formats;
 *  - a list item starts with "- " and items follow without blank lines; the further
 *    paragraphs of an item are indented by two blanks, nested lists by two more each;
 *    numbers of numbered lists in manual pages and Markdown are kept ("- 1. one");
 *  - a term with its description (.TP, .It, <dt>) is "- term: description" when short, else
 *    the term on its line and the description below;
 *  - preformatted blocks keep their lines, indented by four blanks;
 *  - a table row is one line, cells separated by " | ".
 * A paragraph of the source that would itself start with "# " is indented by one blank, so
 * that a line starting with '#' signs and a blank is always a heading.
 *
 * All readers are deterministic, keep no state between calls, and are safe in several
 * threads at once.  Any bytes are accepted: damage is repaired or skipped, never fatal.
 */
#ifndef SMELT_EXTRACT_H
#define SMELT_EXTRACT_H

#include "smelt/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes of one document the readers accept, and of text that they write. */
#define SM_EXTRACT_MAX_BYTES ((size_t)64 << 20)
/** Levels of nesting (blocks, lists, macros, includes) before the rest is flattened. */
#define SM_EXTRACT_MAX_DEPTH 200

typedef enum sm_format {
    SM_FORMAT_UNKNOWN = 0, /* binary, empty or not a document              */
    SM_FORMAT_PLAIN,
    SM_FORMAT_MARKDOWN,
    SM_FORMAT_RST, /* reStructuredText, read lightly                       */
    SM_FORMAT_HTML,
    SM_FORMAT_MAN /* roff with man(7) or mdoc(7) macros                    */
} sm_format;

/** "plain", "markdown", "rst", "html", "man", "unknown"; static storage. */
SM_API const char *sm_format_name(sm_format f);

/**
 * Guess the format from the name and the first bytes.  A trailing .gz, .xz, .zst or .bz2 in
 * `path` is ignored (the data must be unpacked already).  Content overrules a name that
 * cannot be right: data with NUL bytes that is not UTF-16 is SM_FORMAT_UNKNOWN.
 * @param path name inside its package or directory; may be NULL
 */
SM_API sm_format sm_format_detect(const char *path, const char *data, size_t len);

/** One extracted document.  Zero-initialise; release with sm_extract_free. */
typedef struct sm_extract {
    sm_buf text;   /* the form above                                               */
    char *title;   /* "lsof(8)", the <title>, the first heading; NULL when none    */
    char *summary; /* man: NAME line after the dash; HTML: description; else NULL  */
    char *section; /* man: "8", "3pm"; else NULL                                   */
    char *lang;    /* declared by the document (<html lang>), else NULL            */
    const char *encoding; /* what the bytes were: "utf-8", "iso-8859-1",
                             "windows-1252", "utf-16le", ...; static storage       */
    char *link_to; /* man: target of a page that is only ".so target", else NULL   */
    const char *warning;  /* what of the document is not in the text, and why; static
                             storage; NULL: nothing was left out                   */
} sm_extract;

/** Release what it holds; it is then all zero. */
SM_API void sm_extract_free(sm_extract *x);

/** How `.so name` includes are found.  read() returns SM_OK and malloc'd bytes, or any
 * error to leave the include out; name is as written ("man8/lsof.8"). */
typedef struct sm_so_resolver {
    sm_status (*read)(void *self, char **data, size_t *len, const char *name,
                      sm_err *err);
    void *self;
} sm_so_resolver;

/**
 * Read a manual page: man(7), mdoc(7) and the roff requests that real pages use, tbl(1)
 * tables, eqn(1) as plain words.  Title, section and summary come from .TH/.Dt and NAME.
 * @param[out] out   on failure released and zeroed
 * @param data       [len] unpacked bytes, UTF-8, Latin-1 or as a `coding:` line says
 * @param path       for messages and as a fallback for title and section; may be NULL
 * @param so         include reader; NULL or an error of it skips the include
 * @return SM_EINVAL (more than SM_EXTRACT_MAX_BYTES), SM_ENOMEM
 */
SM_API sm_status sm_extract_man(sm_extract *out, const char *data, size_t len,
                                const char *path, const sm_so_resolver *so, sm_err *err);

typedef enum sm_html_mode {
    SM_HTML_MAIN, /* the main content: navigation, headers and footers dropped */
    SM_HTML_FULL  /* all visible text of <body>                                */
} sm_html_mode;

/**
 * Read an HTML page (HTML5 tree construction by gumbo).  Never text: script, style,
 * template, hidden elements, form controls.  SM_HTML_MAIN prefers <main> or <article> and
 * drops nav, footer, aside and link lists.
 * Errors as sm_extract_man.
 */
SM_API sm_status sm_extract_html(sm_extract *out, const char *data, size_t len,
                                 const char *path, sm_html_mode mode, sm_err *err);

/** Read Markdown (CommonMark and GitHub tables); front matter and raw HTML tags are
 * dropped. Errors as sm_extract_man. */
SM_API sm_status sm_extract_markdown(sm_extract *out, const char *data, size_t len,
                                     const char *path, sm_err *err);

/** Read reStructuredText lightly: headings, lists, literal blocks; directives and roles
 * reduced to their text.  Errors as sm_extract_man. */
SM_API sm_status sm_extract_rst(sm_extract *out, const char *data, size_t len,
                                const char *path, sm_err *err);

/** Read plain text: decode, normalise line ends, keep the line structure.
 * Errors as sm_extract_man. */
SM_API sm_status sm_extract_plain(sm_extract *out, const char *data, size_t len,
                                  const char *path, sm_err *err);

/** Read by format; HTML in SM_HTML_MAIN mode.  SM_EUNSUPPORTED for SM_FORMAT_UNKNOWN. */
SM_API sm_status sm_extract_document(sm_extract *out, sm_format format, const char *data,
                                     size_t len, const char *path,
                                     const sm_so_resolver *so, sm_err *err);

/**
 * Decode bytes of an unknown or declared encoding to UTF-8 with '\n' line ends.
 * Order: byte-order mark, UTF-16 without mark (zeros in alternate bytes), valid UTF-8, the
 * declared label, then windows-1252 where a byte of 0x80..0x9f occurs, else iso-8859-1.
 * Bytes that fit nothing become U+FFFD.  Labels beyond those are decoded by iconv(3) where
 * the system knows them.
 * @param declared label from the document ("latin1", "utf-8", ...) or NULL
 * @param[out] encoding name of what was used, static storage; may be NULL
 * @return false when memory or out->max is exhausted
 */
SM_API bool sm_decode_text(sm_buf *out, const char *data, size_t len,
                           const char *declared, const char **encoding);

#ifdef __cplusplus
}
#endif
#endif
