/* SPDX-License-Identifier: Apache-2.0 */
/* What file names say.  The lists are data: docs/formats/dataset.md tells users of them. */
#include "names.h"

#include <string.h>
#include <strings.h>

static const char *const compressions[] = {".gz", ".xz", ".zst", ".bz2", ".lzma", NULL};
static const char *const archives[] = {".tar", ".tgz", ".txz",  ".tbz2", ".tzst",
                                       ".zip", ".deb", ".udeb", NULL};

/* Not text, or text in a container that smelt does not read. */
static const char *const binary[] = {
    ".png",      ".jpg",  ".jpeg", ".gif",   ".ico",  ".webp",   ".bmp",  ".tif",
    ".tiff",     ".svg",  ".svgz", ".pdf",   ".ps",   ".eps",    ".dvi",  ".epub",
    ".mobi",     ".djvu", ".woff", ".woff2", ".ttf",  ".otf",    ".eot",  ".mp3",
    ".ogg",      ".mp4",  ".webm", ".wav",   ".flac", ".doc",    ".docx", ".odt",
    ".ods",      ".odp",  ".xls",  ".xlsx",  ".ppt",  ".pptx",   ".jar",  ".class",
    ".o",        ".a",    ".so",   ".la",    ".exe",  ".dll",    ".bin",  ".iso",
    ".img",      ".pyc",  ".mo",   ".gmo",   ".db",   ".sqlite", ".inv",  ".devhelp",
    ".devhelp2", ".rpm",  ".7z",   ".rar",   ".whl",  ".apk",    ".crx",  NULL};

/* Programs, configuration and tables: text, but not documents. */
static const char *const code[] = {
    ".c",   ".h",   ".cc",   ".cpp",   ".hpp",  ".cxx",  ".hh",      ".py",    ".pl",
    ".pm",  ".pod", ".js",   ".mjs",   ".ts",   ".css",  ".scss",    ".java",  ".go",
    ".rs",  ".rb",  ".php",  ".lua",   ".tcl",  ".sh",   ".bash",    ".zsh",   ".fish",
    ".awk", ".sed", ".m4",   ".cmake", ".mk",   ".json", ".xml",     ".xsl",   ".xslt",
    ".dtd", ".rng", ".yaml", ".yml",   ".toml", ".ini",  ".conf",    ".cfg",   ".csv",
    ".tsv", ".sql", ".diff", ".patch", ".po",   ".pot",  ".ui",      ".glade", ".desktop",
    ".dot", ".el",  ".elc",  ".lisp",  ".scm",  ".hs",   ".ml",      ".r",     ".m",
    ".f",   ".f90", ".s",    ".asm",   ".bib",  ".sty",  ".cls",     ".map",   ".lock",
    ".sig", ".asc", ".pem",  ".crt",   ".key",  ".dsc",  ".service", ".rules", ".ex",
    ".in",  ".am",  ".ac",   ".log",   ".dts",  ".dtsi", NULL};

/* Pages that only point at other pages. */
static const char *const navigation[] = {
    "genindex.html",  "search.html",   "py-modindex.html",
    "bookindex.html", "sitemap.xml",   "robots.txt",
    "modindex.html",  "theindex.html", NULL};

/* Case-insensitive: the name ends in `suffix` (which includes its dot). */
static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n >= m && strcasecmp(name + n - m, suffix) == 0;
}

static bool ends_with_any(const char *name, size_t n, const char *const *suffix)
{
    for (; *suffix; suffix++) {
        size_t m = strlen(*suffix);
        if (n > m && strncasecmp(name + n - m, *suffix, m) == 0)
            return true;
    }
    return false;
}

/* Length of the name without .gz, .xz, .zst, .bz2, .lzma. */
static size_t unpacked_bytes(const char *name)
{
    size_t n = strlen(name);
    for (const char *const *s = compressions; *s; s++) {
        size_t m = strlen(*s);
        if (n > m && strcasecmp(name + n - m, *s) == 0)
            return n - m;
    }
    return n;
}

bool sm_name_is_compressed(const char *name)
{
    return unpacked_bytes(name) < strlen(name);
}

bool sm_name_is_archive(const char *name)
{
    return ends_with_any(name, unpacked_bytes(name), archives);
}

bool sm_name_is_jsonl(const char *name)
{
    static const char *const jsonl[] = {".jsonl", ".ndjson", NULL};
    return ends_with_any(name, unpacked_bytes(name), jsonl);
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool is_navigation(const char *name)
{
    for (const char *const *s = navigation; *s; s++)
        if (strcmp(name, *s) == 0)
            return true;
    return starts_with(name, "genindex-") || ends_with(name, "-modindex.html");
}

static bool has_folder(const char *path, const char *folder)
{
    const char *at = strstr(path, folder);
    return at && (at == path || at[-1] == '/');
}

/* A man page's suffix is its section: "open.2", "perlfunc.3pm", never a program. */
static bool is_man_path(const char *path)
{
    return starts_with(path, "usr/share/man/") || has_folder(path, "man/man");
}

/* usr/share/{doc,man,info,help}, and folders called like debian-reference or x-manual. */
static bool is_documentation(const char *path)
{
    static const char share[] = "usr/share/";
    static const char *const folder[] = {"doc/",  "man/",     "info/",
                                         "help/", "gtk-doc/", NULL};
    static const char *const ending[] = {"-reference/", "-manual/", "-guide/",
                                         "-handbook/",  "-docs/",   NULL};
    if (!starts_with(path, share))
        return false;
    path += sizeof share - 1;
    for (const char *const *f = folder; *f; f++)
        if (starts_with(path, *f))
            return true;
    const char *slash = strchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + 1 : 0;
    for (const char *const *e = ending; *e; e++) {
        size_t m = strlen(*e);
        if (n > m && strncmp(path + n - m, *e, m) == 0)
            return true;
    }
    return false;
}

const char *sm_name_verdict(const char *path, bool in_package)
{
    const char *name = last_part(path);
    size_t n = unpacked_bytes(name);
    if (in_package) {
        if (!is_documentation(path))
            return "not_documentation";
        if (has_folder(path, "examples/"))
            return "code";
    }
    if (strcmp(name, "copyright") == 0)
        return "copyright";
    bool changes =
        strncasecmp(name, "changes", 7) == 0 && (name[7] == 0 || name[7] == '.');
    if (changes || strncasecmp(name, "changelog", 9) == 0)
        return "changelog";
    if (has_folder(path, "_sources/"))
        return "duplicate_source";
    if (has_folder(path, ".git/") || has_folder(path, "node_modules/"))
        return "code";
    if (is_navigation(name))
        return "navigation";
    if (is_man_path(path) && !sm_name_is_archive(name))
        return NULL;
    if (ends_with_any(name, n, binary))
        return "binary";
    if (ends_with_any(name, n, code))
        return "code";
    return NULL;
}
