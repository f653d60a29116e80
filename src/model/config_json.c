/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hugging Face config.json in and out: model types llama, mixtral and llama4_text (also
 * inside a multimodal llama4 as "text_config").
 *
 * What a type cannot say (a softmax router beside NoPE layers, a shared expert of another
 * width) goes into an object "smelt" beside the Hugging Face fields; on reading it
 * overrides them.  Writing makes the Hugging Face fields, reads them back, and puts exactly
 * the fields that came back different into "smelt", so the round trip is exact.
 */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

typedef enum field_type { FIELD_INT, FIELD_FLOAT, FIELD_BOOL, FIELD_ROUTER } field_type;

typedef struct field {
    const char *name;
    field_type type;
    size_t offset;
} field;

#define FIELD(name, type)                            \
    {                                                \
#name, type, offsetof(sm_model_config, name) \
    }

static const field fields[] = {
    FIELD(n_vocab, FIELD_INT),
    FIELD(n_layer, FIELD_INT),
    FIELD(d_model, FIELD_INT),
    FIELD(n_head, FIELD_INT),
    FIELD(n_kv_head, FIELD_INT),
    FIELD(d_head, FIELD_INT),
    FIELD(d_ff, FIELD_INT),
    FIELD(n_expert, FIELD_INT),
    FIELD(k_expert, FIELD_INT),
    FIELD(d_expert, FIELD_INT),
    FIELD(d_shared, FIELD_INT),
    FIELD(moe_every, FIELD_INT),
    FIELD(router, FIELD_ROUTER),
    FIELD(router_bias, FIELD_BOOL),
    FIELD(rope_theta, FIELD_FLOAT),
    FIELD(rope_interleaved, FIELD_BOOL),
    FIELD(nope_every, FIELD_INT),
    FIELD(attn_chunk, FIELD_INT),
    FIELD(qk_norm, FIELD_BOOL),
    FIELD(attn_temp_scale, FIELD_FLOAT),
    FIELD(attn_temp_floor, FIELD_FLOAT),
    FIELD(norm_eps, FIELD_FLOAT),
    FIELD(tied, FIELD_BOOL),
    FIELD(max_ctx, FIELD_INT),
    FIELD(n_slice, FIELD_INT),
};
enum { N_FIELD = sizeof fields / sizeof *fields };

static const char *const router_name[] = {"softmax_topk", "sigmoid_top1"};

/* ------------------------------------------------------------- reading */

/* Errors stick: the first one is kept, later reads do nothing. */
typedef struct reader {
    const json_t *object;
    const char *where;
    sm_status status;
    sm_err *err;
} reader;

static void refuse(reader *r, const char *key, const char *want)
{
    const json_t *v = json_object_get(r->object, key);
    char *got = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    r->status = sm_fail(r->err, SM_EINVAL, "%s: %s: got %.80s, want %s", r->where, key,
                        got ? got : "nothing", want);
    free(got);
}

static const json_t *get(const reader *r, const char *key)
{
    const json_t *v = r->status ? NULL : json_object_get(r->object, key);
    return json_is_null(v) ? NULL : v;
}

static void read_int(reader *r, int32_t *out, const char *key, bool is_required)
{
    const json_t *v = get(r, key);
    if (r->status || (!v && !is_required))
        return;
    json_int_t n = json_is_integer(v) ? json_integer_value(v) : -1;
    if (n < 0 || n > INT32_MAX)
        refuse(r, key, "an integer 0..2147483647");
    else
        *out = (int32_t)n;
}

static void read_float(reader *r, float *out, const char *key)
{
    const json_t *v = get(r, key);
    if (!v)
        return;
    double x = json_number_value(v);
    if (!json_is_number(v) || !(fabs(x) <= 1e30))
        refuse(r, key, "a number");
    else
        *out = (float)x;
}

static void read_bool(reader *r, bool *out, const char *key)
{
    const json_t *v = get(r, key);
    if (!v)
        return;
    if (json_is_boolean(v))
        *out = json_is_true(v);
    else
        refuse(r, key, "true or false");
}

/* A switch that early Llama 4 files give as a number. */
static void read_switch(reader *r, bool *out, const char *key)
{
    const json_t *v = get(r, key);
    if (json_is_integer(v))
        *out = json_integer_value(v) != 0;
    else
        read_bool(r, out, key);
}

static void read_router(reader *r, sm_router *out, const char *key)
{
    const json_t *v = get(r, key);
    const char *s = json_string_value(v);
    if (!v)
        return;
    if (s && !strcmp(s, router_name[0]))
        *out = SM_ROUTER_SOFTMAX_TOPK;
    else if (s && !strcmp(s, router_name[1]))
        *out = SM_ROUTER_SIGMOID_TOP1;
    else
        refuse(r, key, "\"softmax_topk\" or \"sigmoid_top1\"");
}

static void *field_at(sm_model_config *c, const field *f)
{
    return (char *)c + f->offset;
}

static void read_field(reader *r, sm_model_config *c, const field *f)
{
    switch (f->type) {
    case FIELD_INT:
        read_int(r, field_at(c, f), f->name, false);
        break;
    case FIELD_FLOAT:
        read_float(r, field_at(c, f), f->name);
        break;
    case FIELD_BOOL:
        read_bool(r, field_at(c, f), f->name);
        break;
    case FIELD_ROUTER:
        read_router(r, field_at(c, f), f->name);
        break;
    }
}

/* Features that change the function and that we do not have. */
static void refuse_unsupported(reader *r)
{
    static const char *const off[] = {"attention_bias", "mlp_bias"};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (json_is_true(get(r, off[i])))
            r->status = sm_fail(r->err, SM_EUNSUPPORTED, "%s: %s: got true, want false",
                                r->where, off[i]);
    static const char *const rope[] = {"rope_scaling", "rope_parameters"};
    for (size_t i = 0; i < sizeof rope / sizeof *rope; i++) {
        const json_t *scaling = get(r, rope[i]);
        const char *type = json_string_value(json_object_get(scaling, "rope_type"));
        if (scaling && !(type && !strcmp(type, "default")))
            r->status = sm_fail(r->err, SM_EUNSUPPORTED, "%s: %s: got type %s, want none",
                                r->where, rope[i], type ? type : "unknown");
    }
    const char *act = json_string_value(get(r, "hidden_act"));
    if (act && strcmp(act, "silu"))
        r->status = sm_fail(r->err, SM_EUNSUPPORTED, "%s: hidden_act: got %s, want silu",
                            r->where, act);
    if (json_is_integer(get(r, "sliding_window")))
        r->status =
            sm_fail(r->err, SM_EUNSUPPORTED, "%s: sliding_window: want null", r->where);
}

static void read_common(reader *r, sm_model_config *c)
{
    read_int(r, &c->n_vocab, "vocab_size", true);
    read_int(r, &c->n_layer, "num_hidden_layers", true);
    read_int(r, &c->d_model, "hidden_size", true);
    read_int(r, &c->n_head, "num_attention_heads", true);
    c->n_kv_head = c->n_head;
    read_int(r, &c->n_kv_head, "num_key_value_heads", false);
    c->d_head = c->n_head > 0 ? c->d_model / c->n_head : 0;
    read_int(r, &c->d_head, "head_dim", false);
    read_int(r, &c->d_ff, "intermediate_size", true);
    read_float(r, &c->rope_theta, "rope_theta");
    reader rope = *r; /* where newer files keep it */
    rope.object = get(r, "rope_parameters");
    read_float(&rope, &c->rope_theta, "rope_theta");
    r->status = rope.status;
    read_float(r, &c->norm_eps, "rms_norm_eps");
    read_bool(r, &c->tied, "tie_word_embeddings");
    read_int(r, &c->max_ctx, "max_position_embeddings", false);
}

static void read_experts(reader *r, sm_model_config *c)
{
    c->d_expert = c->d_ff;
    read_int(r, &c->n_expert, "num_local_experts", true);
    read_int(r, &c->k_expert, "num_experts_per_tok", true);
}

/* no_rope_layers lists 1 for rope and 0 for none; only the periodic form is ours. */
static void read_nope(reader *r, sm_model_config *c)
{
    const json_t *list = get(r, "no_rope_layers");
    c->nope_every = 4;
    read_int(r, &c->nope_every, "no_rope_layer_interval", false);
    if (!list || json_array_size(list) == 0)
        return;
    int32_t first = 0;
    for (size_t i = 0; i < json_array_size(list) && !first; i++)
        if (json_integer_value(json_array_get(list, i)) == 0)
            first = (int32_t)i + 1;
    c->nope_every = first;
    for (size_t i = 0; i < json_array_size(list); i++) {
        bool nope = first && (i + 1) % (size_t)first == 0;
        if ((json_integer_value(json_array_get(list, i)) == 0) != nope)
            refuse(r, "no_rope_layers", "a zero every n layers");
    }
}

static void read_llama4(reader *r, sm_model_config *c)
{
    bool has_temp = true;
    read_experts(r, c);
    c->d_ff = 2 * c->d_expert;
    read_int(r, &c->d_ff, "intermediate_size_mlp", false);
    c->d_shared = c->d_expert;
    c->router = SM_ROUTER_SIGMOID_TOP1;
    c->rope_interleaved = true;
    read_int(r, &c->moe_every, "interleave_moe_layer_step", false);
    read_nope(r, c);
    c->attn_chunk = 8192;
    read_int(r, &c->attn_chunk, "attention_chunk_size", false);
    if (json_is_null(json_object_get(r->object, "attention_chunk_size")))
        c->attn_chunk = 0;
    c->qk_norm = true;
    read_bool(r, &c->qk_norm, "use_qk_norm");
    read_switch(r, &has_temp, "attn_temperature_tuning");
    c->attn_temp_scale = 0.1f;
    c->attn_temp_floor = 8192;
    read_float(r, &c->attn_temp_scale, "attn_scale");
    read_float(r, &c->attn_temp_floor, "floor_scale");
    if (!has_temp)
        c->attn_temp_scale = 0;
}

/* The fields of a type, without "smelt" and without the final check. */
static void read_hugging_face(reader *r, sm_model_config *c)
{
    const char *type = json_string_value(json_object_get(r->object, "model_type"));
    const json_t *text = json_object_get(r->object, "text_config");
    if (type && !strcmp(type, "llama4") && json_is_object(text)) {
        r->object = text;
        type = "llama4_text";
    }
    bool is_llama4 = type && !strcmp(type, "llama4_text");
    bool is_mixtral = type && !strcmp(type, "mixtral");
    if (!is_llama4 && !is_mixtral && !(type && !strcmp(type, "llama"))) {
        r->status = sm_fail(r->err, SM_EUNSUPPORTED,
                            "%s: model_type: got %s, want llama, "
                            "mixtral or llama4_text",
                            r->where, type ? type : "nothing");
        return;
    }
    c->norm_eps = is_llama4 || is_mixtral ? 1e-5f : 1e-6f;
    c->rope_theta = is_llama4 ? 500000.0f : is_mixtral ? 1e6f : 10000.0f;
    c->tied = false;
    c->max_ctx = 2048;
    refuse_unsupported(r);
    read_common(r, c);
    if (is_mixtral)
        read_experts(r, c);
    if (is_llama4)
        read_llama4(r, c);
}

sm_status sm_model_config_from_json(sm_model_config *out, const json_t *json, sm_err *err)
{
    sm_model_config c = SM_MODEL_CONFIG_DEFAULT;
    reader r = {.object = json, .where = "config.json", .err = err};
    if (!json_is_object(json))
        return sm_fail(err, SM_EINVAL, "config.json: want an object");
    read_hugging_face(&r, &c);
    const json_t *own = json_object_get(json, "smelt");
    r.object = own;
    r.where = "config.json: smelt";
    for (size_t i = 0; json_is_object(own) && i < N_FIELD; i++)
        read_field(&r, &c, &fields[i]);
    if (!r.status)
        r.status = sm_model_config_check(&c, err);
    if (!r.status)
        *out = c;
    return r.status;
}

/* ------------------------------------------------------------- writing */

/* The shortest decimal that gives the float back. */
static json_t *number_of(float x)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if ((float)strtod(text, NULL) == x)
            break;
    }
    double d = strtod(text, NULL);
    return json_real(d);
}

static void put_int(json_t *o, const char *key, int64_t v)
{
    json_object_set_new(o, key, json_integer(v));
}

static void put_common(json_t *o, const sm_model_config *c)
{
    put_int(o, "vocab_size", c->n_vocab);
    put_int(o, "hidden_size", c->d_model);
    put_int(o, "num_hidden_layers", c->n_layer);
    put_int(o, "num_attention_heads", c->n_head);
    put_int(o, "num_key_value_heads", c->n_kv_head);
    put_int(o, "head_dim", c->d_head);
    put_int(o, "max_position_embeddings", c->max_ctx);
    json_object_set_new(o, "hidden_act", json_string("silu"));
    json_object_set_new(o, "rms_norm_eps", number_of(c->norm_eps));
    json_object_set_new(o, "rope_theta", number_of(c->rope_theta));
    json_object_set_new(o, "rope_scaling", json_null());
    json_object_set_new(o, "attention_bias", json_false());
    json_object_set_new(o, "tie_word_embeddings", json_boolean(c->tied));
}

static void put_experts(json_t *o, const sm_model_config *c)
{
    put_int(o, "intermediate_size", c->d_expert);
    put_int(o, "num_local_experts", c->n_expert);
    put_int(o, "num_experts_per_tok", c->k_expert);
}

static void put_llama4(json_t *o, const sm_model_config *c)
{
    json_t *rope = json_array(), *moe = json_array();
    for (int32_t l = 0; l < c->n_layer; l++) {
        bool nope = c->nope_every && (l + 1) % c->nope_every == 0;
        json_array_append_new(rope, json_integer(!nope));
        if (c->n_expert && (l + 1) % c->moe_every == 0)
            json_array_append_new(moe, json_integer(l));
    }
    put_int(o, "intermediate_size_mlp", c->d_ff);
    put_int(o, "interleave_moe_layer_step", c->moe_every);
    json_object_set_new(o, "moe_layers", moe);
    json_object_set_new(o, "no_rope_layers", rope);
    json_object_set_new(o, "attention_chunk_size",
                        c->attn_chunk ? json_integer(c->attn_chunk) : json_null());
    json_object_set_new(o, "use_qk_norm", json_boolean(c->qk_norm));
    bool has_temp = c->attn_temp_scale > 0;
    json_object_set_new(o, "attn_temperature_tuning", json_boolean(has_temp));
    json_object_set_new(o, "attn_scale", number_of(c->attn_temp_scale));
    json_object_set_new(o, "floor_scale", number_of(c->attn_temp_floor));
}

static bool field_equals(const sm_model_config *a, const sm_model_config *b,
                         const field *f)
{
    size_t size = f->type == FIELD_BOOL     ? sizeof(bool)
                  : f->type == FIELD_ROUTER ? sizeof(sm_router)
                                            : sizeof(int32_t);
    return !memcmp((const char *)a + f->offset, (const char *)b + f->offset, size);
}

static json_t *field_json(const sm_model_config *c, const field *f)
{
    const void *at = (const char *)c + f->offset;
    switch (f->type) {
    case FIELD_INT:
        return json_integer(*(const int32_t *)at);
    case FIELD_FLOAT:
        return number_of(*(const float *)at);
    case FIELD_BOOL:
        return json_boolean(*(const bool *)at);
    case FIELD_ROUTER:
        return json_string(router_name[*(const sm_router *)at == SM_ROUTER_SIGMOID_TOP1]);
    }
    return NULL;
}

/* What reading the Hugging Face fields alone would get wrong. */
static json_t *leftovers(const json_t *o, const sm_model_config *c)
{
    sm_model_config back = SM_MODEL_CONFIG_DEFAULT;
    reader r = {.object = o, .where = ""};
    read_hugging_face(&r, &back);
    json_t *own = json_object();
    for (size_t i = 0; i < N_FIELD; i++)
        if (!field_equals(&back, c, &fields[i]))
            json_object_set_new(own, fields[i].name, field_json(c, &fields[i]));
    return own;
}

static const char *const type_name[] = {"llama", "mixtral", "llama4_text"};

json_t *sm_model_config_to_json(const sm_model_config *c)
{
    static const char *const class[] = {"LlamaForCausalLM", "MixtralForCausalLM",
                                        "Llama4ForCausalLM"};
    model_family family = sm_model_family(c);
    json_t *o = json_object(), *names = json_array();
    if (!o || !names) {
        json_decref(o);
        json_decref(names);
        return NULL;
    }
    json_array_append_new(names, json_string(class[family]));
    json_object_set_new(o, "architectures", names);
    json_object_set_new(o, "model_type", json_string(type_name[family]));
    put_common(o, c);
    if (family == FAMILY_LLAMA)
        put_int(o, "intermediate_size", c->d_ff);
    else
        put_experts(o, c);
    if (family == FAMILY_LLAMA4)
        put_llama4(o, c);
    json_t *own = leftovers(o, c);
    if (json_object_size(own) > 0)
        json_object_set_new(o, "smelt", own);
    else
        json_decref(own);
    return o;
}

static bool has_nope_layer(const sm_model_config *c)
{
    return c->nope_every > 0 && c->nope_every <= c->n_layer;
}

/* Do the logits depend on a field, the others being what they are?  n_slice and max_ctx say
 * in which order and how far. */
static bool matters(const sm_model_config *c, const char *name)
{
    static const char *const of_experts[] = {"k_expert",  "d_expert", "d_shared",
                                             "moe_every", "router",   "router_bias"};
    if (!strcmp(name, "n_slice") || !strcmp(name, "max_ctx"))
        return false;
    if (!strcmp(name, "d_ff"))
        return c->n_expert == 0 || c->moe_every > 1;
    if (!strcmp(name, "attn_temp_floor"))
        return c->attn_temp_scale > 0 && has_nope_layer(c);
    if (!strcmp(name, "nope_every"))
        return has_nope_layer(c);
    if (!strcmp(name, "rope_interleaved"))
        return c->nope_every != 1;
    for (size_t i = 0; i < sizeof of_experts / sizeof *of_experts; i++)
        if (!strcmp(name, of_experts[i]))
            return c->n_expert > 0;
    return true;
}

sm_status sm_model_config_own(sm_buf *out, const sm_model_config *c, sm_err *err)
{
    json_t *o = sm_model_config_to_json(c);
    const json_t *own = json_object_get(o, "smelt");
    const char *before = "";
    bool failed = !o;
    for (size_t i = 0; i < N_FIELD && !failed; i++) {
        const json_t *v = json_object_get(own, fields[i].name);
        char *text =
            v && matters(c, fields[i].name) ? json_dumps(v, JSON_ENCODE_ANY) : NULL;
        if (text) {
            failed = !sm_buf_printf(out, "%s%s %s", before, fields[i].name, text);
            before = ", ";
        }
        free(text);
    }
    json_decref(o);
    return failed ? sm_fail(err, SM_ENOMEM, "out of memory") : SM_OK;
}

const char *sm_model_config_type(const sm_model_config *c)
{
    return type_name[sm_model_family(c)];
}
