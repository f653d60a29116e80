/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Special characters of roff by name, as groff_char(7) and mandoc_char(7) list them.
 * Hyphens become ASCII '-', ligatures their letters: the text is for reading and search.
 */
#include <string.h>

#include "read_roff.h"
#include "smelt/text.h"

typedef struct glyph {
    const char *name, *utf8;
} glyph;

/* Sorted by the bytes of the name. */
static const glyph glyphs[] = {
    {"!=", "\xe2\x89\xa0"},
    {"%0", "\xe2\x80\xb0"},
    {"'A", "\xc3\x81"},
    {"'C", "\xc4\x86"},
    {"'E", "\xc3\x89"},
    {"'I", "\xc3\x8d"},
    {"'O", "\xc3\x93"},
    {"'U", "\xc3\x9a"},
    {"'Y", "\xc3\x9d"},
    {"'a", "\xc3\xa1"},
    {"'c", "\xc4\x87"},
    {"'e", "\xc3\xa9"},
    {"'i", "\xc3\xad"},
    {"'o", "\xc3\xb3"},
    {"'u", "\xc3\xba"},
    {"'y", "\xc3\xbd"},
    {"**", "\xe2\x88\x97"},
    {"*A", "\xce\x91"},
    {"*B", "\xce\x92"},
    {"*C", "\xce\x9e"},
    {"*D", "\xce\x94"},
    {"*E", "\xce\x95"},
    {"*F", "\xce\xa6"},
    {"*G", "\xce\x93"},
    {"*H", "\xce\x98"},
    {"*I", "\xce\x99"},
    {"*K", "\xce\x9a"},
    {"*L", "\xce\x9b"},
    {"*M", "\xce\x9c"},
    {"*N", "\xce\x9d"},
    {"*O", "\xce\x9f"},
    {"*P", "\xce\xa0"},
    {"*Q", "\xce\xa8"},
    {"*R", "\xce\xa1"},
    {"*S", "\xce\xa3"},
    {"*T", "\xce\xa4"},
    {"*U", "\xce\xa5"},
    {"*W", "\xce\xa9"},
    {"*X", "\xce\xa7"},
    {"*Y", "\xce\x97"},
    {"*Z", "\xce\x96"},
    {"*a", "\xce\xb1"},
    {"*b", "\xce\xb2"},
    {"*c", "\xce\xbe"},
    {"*d", "\xce\xb4"},
    {"*e", "\xce\xb5"},
    {"*f", "\xcf\x95"},
    {"*g", "\xce\xb3"},
    {"*h", "\xce\xb8"},
    {"*i", "\xce\xb9"},
    {"*k", "\xce\xba"},
    {"*l", "\xce\xbb"},
    {"*m", "\xce\xbc"},
    {"*n", "\xce\xbd"},
    {"*o", "\xce\xbf"},
    {"*p", "\xcf\x80"},
    {"*q", "\xcf\x88"},
    {"*r", "\xcf\x81"},
    {"*s", "\xcf\x83"},
    {"*t", "\xcf\x84"},
    {"*u", "\xcf\x85"},
    {"*w", "\xcf\x89"},
    {"*x", "\xcf\x87"},
    {"*y", "\xce\xb7"},
    {"*z", "\xce\xb6"},
    {"+-", "\xc2\xb1"},
    {"+e", "\xcf\xb5"},
    {"+f", "\xcf\x86"},
    {"+h", "\xcf\x91"},
    {"+p", "\xcf\x96"},
    {",C", "\xc3\x87"},
    {",c", "\xc3\xa7"},
    {"-+", "\xe2\x88\x93"},
    {"->", "\xe2\x86\x92"},
    {"-D", "\xc3\x90"},
    {"-h", "\xe2\x84\x8f"},
    {".i", "\xc4\xb1"},
    {".j", "\xc8\xb7"},
    {"/L", "\xc5\x81"},
    {"/O", "\xc3\x98"},
    {"/_", "\xe2\x88\xa0"},
    {"/l", "\xc5\x82"},
    {"/o", "\xc3\xb8"},
    {"12", "\xc2\xbd"},
    {"14", "\xc2\xbc"},
    {"18", "\xe2\x85\x9b"},
    {"34", "\xc2\xbe"},
    {"38", "\xe2\x85\x9c"},
    {"3d", "\xe2\x88\xb4"},
    {"58", "\xe2\x85\x9d"},
    {"78", "\xe2\x85\x9e"},
    {":A", "\xc3\x84"},
    {":E", "\xc3\x8b"},
    {":I", "\xc3\x8f"},
    {":O", "\xc3\x96"},
    {":U", "\xc3\x9c"},
    {":Y", "\xc5\xb8"},
    {":a", "\xc3\xa4"},
    {":e", "\xc3\xab"},
    {":i", "\xc3\xaf"},
    {":o", "\xc3\xb6"},
    {":u", "\xc3\xbc"},
    {":y", "\xc3\xbf"},
    {"<-", "\xe2\x86\x90"},
    {"<<", "\xe2\x89\xaa"},
    {"<=", "\xe2\x89\xa4"},
    {"<>", "\xe2\x86\x94"},
    {"==", "\xe2\x89\xa1"},
    {"=~", "\xe2\x89\x85"},
    {">=", "\xe2\x89\xa5"},
    {">>", "\xe2\x89\xab"},
    {"AE", "\xc3\x86"},
    {"AN", "\xe2\x88\xa7"},
    {"Ah", "\xe2\x84\xb5"},
    {"Bq", "\xe2\x80\x9e"},
    {"CL", "\xe2\x99\xa3"},
    {"CR", "\xe2\x86\xb5"},
    {"Cs", "\xc2\xa4"},
    {"DI", "\xe2\x99\xa6"},
    {"Do", "$"},
    {"Eu", "\xe2\x82\xac"},
    {"Fc", "\xc2\xbb"},
    {"Fi", "ffi"},
    {"Fl", "ffl"},
    {"Fn", "\xc6\x92"},
    {"Fo", "\xc2\xab"},
    {"HE", "\xe2\x99\xa5"},
    {"IJ", "\xc4\xb2"},
    {"Im", "\xe2\x84\x91"},
    {"OE", "\xc5\x92"},
    {"OK", "\xe2\x9c\x93"},
    {"OR", "\xe2\x88\xa8"},
    {"Of", "\xc2\xaa"},
    {"Om", "\xc2\xba"},
    {"Po", "\xc2\xa3"},
    {"Re", "\xe2\x84\x9c"},
    {"S1", "\xc2\xb9"},
    {"S2", "\xc2\xb2"},
    {"S3", "\xc2\xb3"},
    {"SP", "\xe2\x99\xa0"},
    {"Sd", "\xc3\xb0"},
    {"TP", "\xc3\x9e"},
    {"Tp", "\xc3\xbe"},
    {"Ye", "\xc2\xa5"},
    {"^A", "\xc3\x82"},
    {"^E", "\xc3\x8a"},
    {"^I", "\xc3\x8e"},
    {"^O", "\xc3\x94"},
    {"^U", "\xc3\x9b"},
    {"^a", "\xc3\xa2"},
    {"^e", "\xc3\xaa"},
    {"^i", "\xc3\xae"},
    {"^o", "\xc3\xb4"},
    {"^u", "\xc3\xbb"},
    {"`A", "\xc3\x80"},
    {"`E", "\xc3\x88"},
    {"`I", "\xc3\x8c"},
    {"`O", "\xc3\x92"},
    {"`U", "\xc3\x99"},
    {"`a", "\xc3\xa0"},
    {"`e", "\xc3\xa8"},
    {"`i", "\xc3\xac"},
    {"`o", "\xc3\xb2"},
    {"`u", "\xc3\xb9"},
    {"a-", "\xc2\xaf"},
    {"a.", "\xcb\x99"},
    {"a^", "^"},
    {"aa", "\xc2\xb4"},
    {"ab", "\xcb\x98"},
    {"ac", "\xc2\xb8"},
    {"ad", "\xc2\xa8"},
    {"ae", "\xc3\xa6"},
    {"ah", "\xcb\x87"},
    {"an", "\xe2\x8e\xaf"},
    {"ao", "\xcb\x9a"},
    {"ap", "\xe2\x88\xbc"},
    {"aq", "'"},
    {"at", "@"},
    {"a~", "~"},
    {"ba", "|"},
    {"bb", "\xc2\xa6"},
    {"bq", "\xe2\x80\x9a"},
    {"br", "\xe2\x94\x82"},
    {"braceex", "\xe2\x8e\xaa"},
    {"braceleftbt", "\xe2\x8e\xa9"},
    {"braceleftex", "\xe2\x8e\xaa"},
    {"braceleftmid", "\xe2\x8e\xa8"},
    {"bracelefttp", "\xe2\x8e\xa7"},
    {"bracerightbt", "\xe2\x8e\xad"},
    {"bracerightex", "\xe2\x8e\xaa"},
    {"bracerightmid", "\xe2\x8e\xac"},
    {"bracerighttp", "\xe2\x8e\xab"},
    {"bracketleftbt", "\xe2\x8e\xa3"},
    {"bracketleftex", "\xe2\x8e\xa2"},
    {"bracketlefttp", "\xe2\x8e\xa1"},
    {"bracketrightbt", "\xe2\x8e\xa6"},
    {"bracketrightex", "\xe2\x8e\xa5"},
    {"bracketrighttp", "\xe2\x8e\xa4"},
    {"bu", "\xe2\x80\xa2"},
    {"bv", "\xe2\x8e\xaa"},
    {"c*", "\xe2\x8a\x97"},
    {"c+", "\xe2\x8a\x95"},
    {"ca", "\xe2\x88\xa9"},
    {"ci", "\xe2\x97\x8b"},
    {"co", "\xc2\xa9"},
    {"coproduct", "\xe2\x88\x90"},
    {"cq", "\xe2\x80\x99"},
    {"ct", "\xc2\xa2"},
    {"cu", "\xe2\x88\xaa"},
    {"dA", "\xe2\x87\x93"},
    {"da", "\xe2\x86\x93"},
    {"dd", "\xe2\x80\xa1"},
    {"de", "\xc2\xb0"},
    {"dg", "\xe2\x80\xa0"},
    {"di", "\xc3\xb7"},
    {"dq", "\""},
    {"em", "\xe2\x80\x94"},
    {"en", "\xe2\x80\x93"},
    {"eq", "="},
    {"es", "\xe2\x88\x85"},
    {"eu", "\xe2\x82\xac"},
    {"f/", "\xe2\x81\x84"},
    {"fa", "\xe2\x88\x80"},
    {"fc", "\xe2\x80\xba"},
    {"ff", "ff"},
    {"fi", "fi"},
    {"fl", "fl"},
    {"fm", "\xe2\x80\xb2"},
    {"fo", "\xe2\x80\xb9"},
    {"ga", "`"},
    {"gr", "\xe2\x88\x87"},
    {"hA", "\xe2\x87\x94"},
    {"ha", "^"},
    {"hbar", "\xe2\x84\x8f"},
    {"ho", "\xcb\x9b"},
    {"hy", "-"},
    {"ib", "\xe2\x8a\x86"},
    {"if", "\xe2\x88\x9e"},
    {"ij", "\xc4\xb3"},
    {"integral", "\xe2\x88\xab"},
    {"ip", "\xe2\x8a\x87"},
    {"is", "\xe2\x88\xab"},
    {"lA", "\xe2\x87\x90"},
    {"lB", "["},
    {"lC", "{"},
    {"la", "\xe2\x9f\xa8"},
    {"lb", "\xe2\x8e\xa9"},
    {"lc", "\xe2\x8c\x88"},
    {"lf", "\xe2\x8c\x8a"},
    {"lh", "\xe2\x98\x9c"},
    {"lk", "\xe2\x8e\xa8"},
    {"lq", "\xe2\x80\x9c"},
    {"lt", "\xe2\x8e\xa7"},
    {"lz", "\xe2\x97\x8a"},
    {"mc", "\xc2\xb5"},
    {"md", "\xe2\x8b\x85"},
    {"mi", "\xe2\x88\x92"},
    {"mo", "\xe2\x88\x88"},
    {"mu", "\xc3\x97"},
    {"nb", "\xe2\x8a\x84"},
    {"nc", "\xe2\x8a\x85"},
    {"ne", "\xe2\x89\xa2"},
    {"nm", "\xe2\x88\x89"},
    {"no", "\xc2\xac"},
    {"oA", "\xc3\x85"},
    {"oa", "\xc3\xa5"},
    {"oe", "\xc5\x93"},
    {"oq", "\xe2\x80\x98"},
    {"or", "|"},
    {"parenleftbt", "\xe2\x8e\x9d"},
    {"parenleftex", "\xe2\x8e\x9c"},
    {"parenlefttp", "\xe2\x8e\x9b"},
    {"parenrightbt", "\xe2\x8e\xa0"},
    {"parenrightex", "\xe2\x8e\x9f"},
    {"parenrighttp", "\xe2\x8e\x9e"},
    {"pc", "\xc2\xb7"},
    {"pd", "\xe2\x88\x82"},
    {"pl", "+"},
    {"pp", "\xe2\x8a\xa5"},
    {"product", "\xe2\x88\x8f"},
    {"ps", "\xc2\xb6"},
    {"pt", "\xe2\x88\x9d"},
    {"r!", "\xc2\xa1"},
    {"r?", "\xc2\xbf"},
    {"rA", "\xe2\x87\x92"},
    {"rB", "]"},
    {"rC", "}"},
    {"ra", "\xe2\x9f\xa9"},
    {"rb", "\xe2\x8e\xad"},
    {"rc", "\xe2\x8c\x89"},
    {"rf", "\xe2\x8c\x8b"},
    {"rg", "\xc2\xae"},
    {"rh", "\xe2\x98\x9e"},
    {"rk", "\xe2\x8e\xac"},
    {"rn", "\xe2\x80\xbe"},
    {"rq", "\xe2\x80\x9d"},
    {"rs", "\\"},
    {"rt", "\xe2\x8e\xab"},
    {"ru", "_"},
    {"sb", "\xe2\x8a\x82"},
    {"sc", "\xc2\xa7"},
    {"sd", "\xe2\x80\xb3"},
    {"sh", "#"},
    {"sl", "/"},
    {"sp", "\xe2\x8a\x83"},
    {"sq", "\xe2\x96\xa1"},
    {"sqrt", "\xe2\x88\x9a"},
    {"sr", "\xe2\x88\x9a"},
    {"ss", "\xc3\x9f"},
    {"st", "\xe2\x88\x8b"},
    {"sum", "\xe2\x88\x91"},
    {"t+-", "\xc2\xb1"},
    {"tdi", "\xc3\xb7"},
    {"te", "\xe2\x88\x83"},
    {"tf", "\xe2\x88\xb4"},
    {"ti", "~"},
    {"tm", "\xe2\x84\xa2"},
    {"tmu", "\xc3\x97"},
    {"tno", "\xc2\xac"},
    {"ts", "\xcf\x82"},
    {"uA", "\xe2\x87\x91"},
    {"ua", "\xe2\x86\x91"},
    {"ul", "_"},
    {"vA", "\xe2\x87\x95"},
    {"vS", "\xc5\xa0"},
    {"vZ", "\xc5\xbd"},
    {"va", "\xe2\x86\x95"},
    {"vs", "\xc5\xa1"},
    {"vz", "\xc5\xbe"},
    {"wp", "\xe2\x84\x98"},
    {"|=", "\xe2\x89\x83"},
    {"~=", "\xe2\x89\x88"},
    {"~A", "\xc3\x83"},
    {"~N", "\xc3\x91"},
    {"~O", "\xc3\x95"},
    {"~a", "\xc3\xa3"},
    {"~n", "\xc3\xb1"},
    {"~o", "\xc3\xb5"},
    {"~~", "\xe2\x89\x88"},
};

static const char *find_glyph(const char *name, size_t n)
{
    size_t lo = 0, hi = sizeof glyphs / sizeof *glyphs;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strncmp(glyphs[mid].name, name, n);
        if (c == 0 && glyphs[mid].name[n] != 0)
            c = 1;
        if (c == 0)
            return glyphs[mid].utf8;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

/* "u00E9" or "u0065_0301": the code points one after another. */
static size_t unicode_glyph(char out[ROFF_GLYPH_MAX], const char *name, size_t n)
{
    size_t len = 0, i = 1;
    while (i < n) {
        uint32_t cp = 0;
        size_t digits = 0;
        for (; i < n && name[i] != '_'; i++, digits++) {
            const char *hex = "0123456789ABCDEFabcdef";
            const char *at = name[i] ? strchr(hex, name[i]) : NULL;
            if (!at || digits >= 6)
                return 0;
            uint32_t v = (uint32_t)(at - hex);
            cp = cp * 16 + (v >= 16 ? v - 6 : v);
        }
        i++;
        char u[4];
        int k = digits >= 4 && cp >= 0x20 ? sm_utf8_encode(u, cp) : 0;
        if (k <= 0 || len + (size_t)k > ROFF_GLYPH_MAX)
            return 0;
        memcpy(out + len, u, (size_t)k);
        len += (size_t)k;
    }
    return len;
}

size_t roff_number_glyph(char out[ROFF_GLYPH_MAX], const char *digits, size_t n)
{
    uint32_t cp = 0;
    for (size_t i = 0; i < n; i++) {
        if (digits[i] < '0' || digits[i] > '9' || cp > 0x10ffff)
            return 0;
        cp = cp * 10 + (uint32_t)(digits[i] - '0');
    }
    if (n == 0 || cp < 0x20 || cp == 0x7f)
        return 0;
    int k = sm_utf8_encode(out, cp);
    return k > 0 ? (size_t)k : 0;
}

size_t roff_glyph(char out[ROFF_GLYPH_MAX], const char *name, size_t n)
{
    if (n == 1 && (unsigned char)name[0] >= 0x20) {
        out[0] = name[0];
        return 1;
    }
    const char *utf8 = find_glyph(name, n);
    if (utf8) {
        size_t len = strlen(utf8);
        memcpy(out, utf8, len < ROFF_GLYPH_MAX ? len : ROFF_GLYPH_MAX);
        return len < ROFF_GLYPH_MAX ? len : ROFF_GLYPH_MAX;
    }
    if (n >= 5 && name[0] == 'u')
        return unicode_glyph(out, name, n);
    if (n > 4 && memcmp(name, "char", 4) == 0)
        return roff_number_glyph(out, name + 4, n - 4);
    return 0;
}
