/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which language a text is in: the script decides first, then, for Latin letters, the share
 * of each language's commonest short words.  Deterministic integer arithmetic over a sample
 * from the start and the middle.  It tells languages of documents apart; it is no measure
 * of quality, and a text of names or code stays "und".
 */
#include <string.h>

#include "smelt/data.h"

#define SAMPLE_BYTES 6144
#define MAX_WORDS 2400

/* Words of at most 8 bytes, lower-case UTF-8, separated by blanks. */
typedef struct language {
    const char *code, *words;
} language;

static const language languages[] = {
    {"en",
     "the of and to in is that for it as with be by are this from or not you which an "
     "if can have will at on was has but they all"},
    {"de",
     "der die und das ist von den mit zu nicht ein eine auf für dem des sich im auch "
     "werden als oder wird bei einer durch nach wenn sind"},
    {"fr",
     "le la les des et est une du que pour dans qui en un par sur pas plus au avec sont "
     "cette ou vous ce il être ne aux si"},
    {"es", "el la los las de que y en un una por con para es del se no su al lo como más "
           "este o si esta ser son puede cuando"},
    {"it",
     "il di che la è per un una in del con non le si della sono da al come gli dei più "
     "questo nel alla anche se o essere ha"},
    {"pt",
     "o a os as de que e do da em um uma para com não se por dos no na mais como ao ou "
     "é são pode este das seu"},
    {"nl",
     "de het een van en is dat in op te met voor niet zijn er aan die door om ook als "
     "bij wordt of naar deze dit worden kan uit"},
    {"sv",
     "och att det som en på är av för med den till inte om ett i har de kan från eller "
     "var så vid när ska denna du inga"},
    {"da",
     "og at det som en på er af for med den til ikke om et i har de kan fra eller var "
     "så ved når skal denne du blev"},
    {"pl",
     "i w na z do się nie jest to że o jak dla od przez po lub oraz są może tylko być "
     "który jego które przy tego ten ale jeśli"},
    {"cs",
     "a v na se je že s z do o pro i jako za nebo by k jsou ve od po který být při jeho "
     "není která tak které pokud"},
    {"fi",
     "ja on ei se että oli ovat voi tai kun joka ole myös mutta jos sen niin kuin hän "
     "tämä ne jotka sekä vain tämän sitä olla"},
    {"tr",
     "ve bir bu için ile olarak da de olan daha çok gibi en veya ne kadar sonra her "
     "değil o ya bunu ise tarafından"},
    {"ro",
     "și în de la a cu pe că este un o nu din sau se care pentru mai sunt fi au prin "
     "dacă al ca fost poate este unui"},
    {"hu", "a az és hogy nem egy is van ez meg de csak vagy el mint ha már azt volt még "
           "fel lehet kell ezt pedig akkor minden"},
    {"id",
     "yang dan di untuk dengan dari ini itu pada tidak dalam akan adalah atau ke oleh "
     "juga dapat bisa sebagai ada anda"},
    {"vi", "và của là có cho các được trong một không với này khi người để những đã từ"},
};
#define N_LANGUAGE (sizeof languages / sizeof *languages)

enum { MAX_LISTED = 640 };

/* The words of all languages, chained by their first byte; places count from 1, 0 is none. */
typedef struct words {
    uint64_t word[MAX_LISTED];
    uint8_t lang[MAX_LISTED], bit[MAX_LISTED];
    uint16_t first[256], next[MAX_LISTED];
    size_t n;
} words;

/* Up to 8 bytes as a number, so that comparing words is comparing numbers. */
static uint64_t pack(const char *s, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, s, n < 8 ? n : 8);
    return v;
}

static void load(words *w)
{
    w->n = 0;
    memset(w->first, 0, sizeof w->first);
    for (size_t i = 0; i < N_LANGUAGE; i++) {
        const char *p = languages[i].words;
        for (uint8_t bit = 0; *p; bit++) {
            size_t n = strcspn(p, " ");
            if (n <= 8 && w->n < MAX_LISTED) {
                w->lang[w->n] = (uint8_t)i;
                w->bit[w->n] = bit & 31;
                w->next[w->n] = w->first[(unsigned char)*p];
                w->word[w->n++] = pack(p, n);
                w->first[(unsigned char)*p] = (uint16_t)w->n;
            }
            p += n + (p[n] == ' ');
        }
    }
}

/* ------------------------------------------------------------------ scripts */

typedef struct scripts {
    int latin, cyrillic, ukrainian, greek, arabic, hebrew, devanagari, thai, han, kana,
        hangul;
} scripts;

static void count_script(scripts *s, uint32_t c)
{
    if (c < 0x80)
        s->latin += (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    else if (c >= 0xc0 && c < 0x250)
        s->latin++;
    else if (c >= 0x370 && c < 0x400)
        s->greek++;
    else if (c >= 0x400 && c < 0x530) {
        s->cyrillic++;
        s->ukrainian += c == 0x404 || c == 0x406 || c == 0x407 || c == 0x454 ||
                        c == 0x456 || c == 0x457 || c == 0x490 || c == 0x491;
    } else if (c >= 0x590 && c < 0x600)
        s->hebrew++;
    else if (c >= 0x600 && c < 0x780)
        s->arabic++;
    else if (c >= 0x900 && c < 0x980)
        s->devanagari++;
    else if (c >= 0xe00 && c < 0xe80)
        s->thai++;
    else if (c >= 0x3040 && c < 0x3100)
        s->kana++;
    else if ((c >= 0x3400 && c < 0xa000) || (c >= 0x20000 && c < 0x30000))
        s->han++;
    else if (c >= 0xac00 && c < 0xd7b0)
        s->hangul++;
}

static const char *by_script(const scripts *s)
{
    const struct {
        int n;
        const char *code;
    } other[] = {
        {s->cyrillic, s->ukrainian * 50 > s->cyrillic ? "uk" : "ru"},
        {s->greek, "el"},
        {s->arabic, "ar"},
        {s->hebrew, "he"},
        {s->devanagari, "hi"},
        {s->thai, "th"},
        {s->han + s->kana, s->kana * 20 > s->han + s->kana ? "ja" : "zh"},
        {s->hangul, "ko"},
    };
    int best = 0;
    for (int i = 1; i < (int)(sizeof other / sizeof *other); i++)
        if (other[i].n > other[best].n)
            best = i;
    /* a syllable sign says more than a letter: code and names inside are Latin */
    return other[best].n >= 8 && other[best].n * 2 >= s->latin ? other[best].code : NULL;
}

/* -------------------------------------------------------------------- words */

typedef struct tally {
    int hits[N_LANGUAGE];
    uint32_t seen[N_LANGUAGE]; /* which of its words, one bit each */
    int n_words;
    scripts script;
} tally;

static void count_word(tally *t, const words *w, const char *s, size_t n)
{
    if (t->n_words >= MAX_WORDS)
        return;
    t->n_words++;
    if (n > 8 || n == 1)
        return; /* a single letter is as likely a variable */
    uint64_t v = pack(s, n);
    for (size_t at = w->first[(unsigned char)*s]; at; at = w->next[at - 1]) {
        size_t i = at - 1;
        if (w->word[i] != v)
            continue;
        t->hits[w->lang[i]]++;
        t->seen[w->lang[i]] |= 1u << w->bit[i];
    }
}

static void count_sample(tally *t, const words *w, const char *text, size_t len)
{
    char word[32];
    size_t n = 0, i = 0;
    while (i < len) {
        uint32_t c;
        int used = sm_utf8_decode(&c, text + i, len - i);
        if (used == 0) {
            i++;
            continue;
        }
        count_script(&t->script, c);
        bool letter = c >= 0x80 || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' ||
                      (c >= '0' && c <= '9');
        if (letter && n + 4 < sizeof word) {
            memcpy(word + n, text + i, (size_t)used);
            if (c < 0x80 && c >= 'A' && c <= 'Z')
                word[n] = (char)(c | 0x20);
            n += (size_t)used;
        } else if (!letter) {
            if (n > 0)
                count_word(t, w, word, n);
            n = 0;
        }
        i += (size_t)used;
    }
    if (n > 0)
        count_word(t, w, word, n);
}

static int bits(uint32_t v)
{
    int n = 0;
    for (; v; v &= v - 1)
        n++;
    return n;
}

/* Enough different words, a large enough share, and more than any other language has.
 * English needs less of both: names and code inside a text look like other languages. */
static const char *by_words(const tally *t)
{
    size_t best = 0;
    int second = 0;
    for (size_t i = 1; i < N_LANGUAGE; i++)
        if (t->hits[i] > t->hits[best])
            best = i;
    for (size_t i = 0; i < N_LANGUAGE; i++)
        if (i != best && t->hits[i] > second)
            second = t->hits[i];
    bool english = best == 0;
    bool enough = bits(t->seen[best]) >= (english ? 2 : 4) &&
                  t->hits[best] * 100 >= t->n_words * (english ? 3 : 8);
    return enough && t->hits[best] > second ? languages[best].code : "und";
}

const char *sm_lang_detect(const char *text, size_t len)
{
    words w;
    tally t = {0};
    load(&w);
    size_t first = len < SAMPLE_BYTES ? len : SAMPLE_BYTES;
    count_sample(&t, &w, text, first);
    if (len > 4 * SAMPLE_BYTES)
        count_sample(&t, &w, text + len / 2, SAMPLE_BYTES);
    const char *code = by_script(&t.script);
    return code ? code : by_words(&t);
}
