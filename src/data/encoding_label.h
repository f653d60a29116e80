/* SPDX-License-Identifier: Apache-2.0 */
/** Labels of encodings that pages declare, as the WHATWG Encoding Standard reads them. */
#ifndef SMELT_DATA_ENCODING_LABEL_H
#define SMELT_DATA_ENCODING_LABEL_H

#include "smelt/base.h"

typedef struct sm_encoding {
    const char *name;  /* for the record                                        */
    const char *iconv; /* what iconv_open(3) is asked for: the superset in use  */
    bool is_double;    /* characters of two bytes, the first not ASCII          */
} sm_encoding;

/** By a lower-case label with '-' for '_'; NULL when it is none of the standard's. */
const sm_encoding *sm_encoding_find(const char *label);

#endif
