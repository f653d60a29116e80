/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of the WHATWG Encoding Standard (4.2, names and labels), legacy encodings.
 * Pages declare an encoding and use what their system makes of it: "gb2312" is GBK and
 * more, "shift_jis" code page 932, "euc-kr" code page 949.  iconv(3) takes these names at
 * their word, so it is asked for the superset.
 */
#include "encoding_label.h"

#include <string.h>

typedef struct row {
    sm_encoding is;
    const char *labels; /* separated and surrounded by blanks */
} row;

static const row rows[] = {
    {{"gbk", "GB18030", true},
     " gbk gb2312 gb-2312 gb-2312-80 chinese csgb2312 csiso58gb231280 iso-ir-58 x-gbk "
     "cp936 "},
    {{"gb18030", "GB18030", true}, " gb18030 "},
    {{"big5", "BIG5-HKSCS", true}, " big5 big5-hkscs cn-big5 csbig5 x-x-big5 cp950 "},
    {{"shift-jis", "CP932", true},
     " shift-jis sjis x-sjis csshiftjis ms932 ms-kanji windows-31j cp932 "},
    {{"euc-jp", "EUC-JP-MS", true}, " euc-jp x-euc-jp cseucpkdfmtjapanese "},
    {{"iso-2022-jp", "ISO-2022-JP", false}, " iso-2022-jp csiso2022jp "},
    {{"euc-kr", "CP949", true},
     " euc-kr cseuckr csksc56011987 iso-ir-149 korean ks-c-5601-1987 ks-c-5601-1989 "
     "ksc5601 ksc-5601 windows-949 cp949 "},
    {{"windows-874", "CP874", false},
     " windows-874 dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 "},
    {{"windows-1250", "CP1250", false}, " windows-1250 cp1250 x-cp1250 "},
    {{"windows-1251", "CP1251", false}, " windows-1251 cp1251 x-cp1251 "},
    {{"windows-1253", "CP1253", false}, " windows-1253 cp1253 x-cp1253 "},
    {{"windows-1254", "CP1254", false},
     " windows-1254 cp1254 x-cp1254 iso-8859-9 iso8859-9 iso88599 iso-8859-9:1989 latin5 "
     "l5 "
     "csisolatin5 iso-ir-148 "},
    {{"windows-1255", "CP1255", false}, " windows-1255 cp1255 x-cp1255 "},
    {{"windows-1256", "CP1256", false}, " windows-1256 cp1256 x-cp1256 "},
    {{"windows-1257", "CP1257", false}, " windows-1257 cp1257 x-cp1257 "},
    {{"windows-1258", "CP1258", false}, " windows-1258 cp1258 x-cp1258 "},
    {{"iso-8859-2", "ISO-8859-2", false},
     " iso-8859-2 iso8859-2 iso88592 iso-8859-2:1987 latin2 l2 csisolatin2 iso-ir-101 "},
    {{"iso-8859-3", "ISO-8859-3", false},
     " iso-8859-3 iso8859-3 iso88593 iso-8859-3:1988 latin3 l3 csisolatin3 iso-ir-109 "},
    {{"iso-8859-4", "ISO-8859-4", false},
     " iso-8859-4 iso8859-4 iso88594 iso-8859-4:1988 latin4 l4 csisolatin4 iso-ir-110 "},
    {{"iso-8859-5", "ISO-8859-5", false},
     " iso-8859-5 iso8859-5 iso88595 iso-8859-5:1988 cyrillic csisolatincyrillic "
     "iso-ir-144 "},
    {{"iso-8859-6", "ISO-8859-6", false},
     " iso-8859-6 iso8859-6 iso88596 iso-8859-6:1987 arabic asmo-708 csisolatinarabic "
     "ecma-114 iso-ir-127 iso-8859-6-e iso-8859-6-i "},
    {{"iso-8859-7", "ISO-8859-7", false},
     " iso-8859-7 iso8859-7 iso88597 iso-8859-7:1987 greek greek8 csisolatingreek "
     "ecma-118 elot-928 iso-ir-126 sun-eu-greek "},
    {{"iso-8859-8", "ISO-8859-8", false},
     " iso-8859-8 iso8859-8 iso88598 iso-8859-8:1988 hebrew visual csisolatinhebrew "
     "iso-ir-138 iso-8859-8-e iso-8859-8-i logical csiso88598i "},
    {{"iso-8859-10", "ISO-8859-10", false},
     " iso-8859-10 iso8859-10 iso885910 latin6 l6 csisolatin6 iso-ir-157 "},
    {{"iso-8859-13", "ISO-8859-13", false}, " iso-8859-13 iso8859-13 iso885913 "},
    {{"iso-8859-14", "ISO-8859-14", false}, " iso-8859-14 iso8859-14 iso885914 "},
    {{"iso-8859-15", "ISO-8859-15", false},
     " iso-8859-15 iso8859-15 iso885915 l9 latin-9 csisolatin9 "},
    {{"iso-8859-16", "ISO-8859-16", false}, " iso-8859-16 "},
    {{"koi8-r", "KOI8-R", false}, " koi8-r koi koi8 cskoi8r "},
    {{"koi8-u", "KOI8-U", false}, " koi8-u koi8-ru "},
    {{"ibm866", "CP866", false}, " ibm866 866 cp866 csibm866 "},
    {{"macintosh", "MACINTOSH", false}, " macintosh mac x-mac-roman csmacintosh "},
    {{"x-mac-cyrillic", "MAC-CYRILLIC", false}, " x-mac-cyrillic x-mac-ukrainian "},
};

const sm_encoding *sm_encoding_find(const char *label)
{
    size_t n = strlen(label);
    for (size_t i = 0; n > 0 && i < sizeof rows / sizeof *rows; i++)
        for (const char *p = rows[i].labels; (p = strstr(p, label)); p += n)
            if (p[-1] == ' ' && p[n] == ' ')
                return &rows[i].is;
    return NULL;
}
