/* SPDX-License-Identifier: Apache-2.0 */
/* Inside conf: numbers as text, and the writer that canonical and readable JSON share. */
#ifndef SMELT_CONF_NUMBER_H
#define SMELT_CONF_NUMBER_H

#include "smelt/conf.h"

/** The largest |integer| that a double, and so JavaScript and RFC 8785, holds exactly. */
#define SM_JSON_INT_MAX INT64_C(9007199254740992)

/** Room for any double as ECMAScript's Number::toString writes it. */
#define SM_NUMBER_MAX 40

/** Write a finite double as ECMAScript does (RFC 8785, section 3.2.2.3). */
void sm_number_format(char out[SM_NUMBER_MAX], double x);

#endif
