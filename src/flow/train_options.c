/* SPDX-License-Identifier: Apache-2.0 */
/* Options of step train: the model's shape, the schedule, the losses, and what only costs
 * or saves time and memory. */
#include <string.h>

#include "train_options.h"

#define INT(k, d, lo, hi, h)                                                     \
    {                                                                            \
        .key = k, .type = SM_OPT_INT, .def = d, .min = lo, .max = hi, .help = h, \
        .affects_result = true                                                   \
    }
#define FLOAT(k, d, lo, hi, h)                                                     \
    {                                                                              \
        .key = k, .type = SM_OPT_FLOAT, .def = d, .min = lo, .max = hi, .help = h, \
        .affects_result = true                                                     \
    }
#define BOOL(k, d, h)                                                              \
    {                                                                              \
        .key = k, .type = SM_OPT_BOOL, .def = d, .help = h, .affects_result = true \
    }
#define ENUM(k, d, c, h)                                                  \
    {                                                                     \
        .key = k, .type = SM_OPT_ENUM, .def = d, .choices = c, .help = h, \
        .affects_result = true                                            \
    }

const sm_option train_options[] = {
    /* the model */
    INT("n_layer", "4", 1, 512, "layers"),
    INT("d_model", "256", 8, 65536, "width of the residual stream"),
    INT("n_head", "4", 1, 1024, "query heads"),
    INT("n_kv_head", "2", 1, 1024, "key and value heads; divides n_head"),
    INT("d_head", "64", 2, 1024, "width of a head; even"),
    INT("d_ff", "704", 8, 262144, "hidden width of dense layers"),
    INT("n_expert", "0", 0, 4096, "experts of a MoE layer; 0: every layer is dense"),
    INT("k_expert", "1", 1, 64, "experts that a token visits; 1 for router sigmoid"),
    INT("d_expert", "0", 0, 262144, "hidden width of an expert; 0: d_ff"),
    INT("d_shared", "0", 0, 262144, "hidden width of the shared expert; 0: none"),
    INT("moe_every", "1", 1, 512,
        "every so many layers one is MoE; with experts at most n_layer"),
    ENUM("router", "sigmoid", "sigmoid|softmax",
         "sigmoid: Llama 4, scales the expert's input; softmax: Mixtral, weighs outputs"),
    BOOL("router_bias", "false",
         "choose experts by logit plus a bias (loss-free balance)"),
    FLOAT("rope_theta", "10000", 1, 1e9, "base of the rotary embedding"),
    BOOL("rope_interleaved", "false", "rotate pairs (2j, 2j+1) as Llama 4 does"),
    INT("nope_every", "0", 0, 512,
        "every so many layers one has no rotary embedding; 0: none"),
    INT("attn_chunk", "0", 0, 1048576,
        "rotary layers see their chunk of positions; 0: all"),
    BOOL("qk_norm", "false", "normalise queries and keys of rotary layers"),
    FLOAT("attn_temp_scale", "0", 0, 10,
          "query temperature of layers without rotary; 0: off"),
    FLOAT("attn_temp_floor", "8192", 1, 1e9,
          "positions per step of the query temperature"),
    FLOAT("norm_eps", "1e-5", 1e-12, 1, "epsilon of the norms"),
    BOOL("tied", "true",
         "the output head shares the embedding; --no-tied: it has weights of its own"),
    INT("n_slice", "1", 1, 64,
        "slices of heads, hidden units and vocabulary, so that ranks can share a layer "
        "and"
        " keep its bits; a power of two"),
    /* the run */
    ENUM("numerics", "bf16/1", "bf16/1|f32/1",
         "the numerics profile: results are defined to the bit"),
    INT("seed", "1", 0, 9007199254740992.0, "of initial weights and data order"),
    INT("n_ctx", "512", 2, 1048576, "positions of a sequence"),
    INT("n_seq", "16", 1, 65536, "sequences of the global batch"),
    INT("n_shard", "8", 1, 65536, "logical shards: a power of two that divides n_seq"),
    INT("n_steps", "1000", 1, 1e9, "optimizer steps"),
    INT("stop_step", "0", 0, 1e9,
        "end after this step of the schedule of n_steps; 0: at its end"),
    ENUM("schedule", "cosine", "cosine|wsd", "of the learning rate after warm-up"),
    ENUM("optimizer", "adamw", "adamw|muon",
         "muon: hidden matrices by orthogonalised momentum, the rest by AdamW"),
    FLOAT("lr", "1e-3", 1e-12, 10, "peak learning rate"),
    FLOAT("init_gain", "1", 0, 100,
          "initial standard deviation of matrices times sqrt(fan_in); 0: 0.02"),
    FLOAT("init_residual", "0", 0, 100,
          "factor on the initial weights that write into the residual stream; 0: a block "
          "adds nothing at first"),
    INT("mup_base_width", "0", 0, 131072,
        "d_model at which lr was tuned; rates and initial weights follow the width; 0: "
        "off"),
    FLOAT("min_lr_frac", "0.1", 0, 1, "learning rate at the end over the peak"),
    INT("warmup_steps", "50", 0, 1e9, "steps of linear warm-up"),
    FLOAT("decay_frac", "0.2", 0, 1, "share of the steps that wsd spends decaying"),
    FLOAT("beta1", "0.9", 0, 0.999999, "AdamW"),
    FLOAT("beta2", "0.95", 0, 0.999999, "AdamW"),
    FLOAT("eps", "1e-8", 1e-30, 1, "AdamW"),
    FLOAT("muon_momentum", "0.95", 0, 0.999999, "Muon"),
    FLOAT("weight_decay", "0.1", 0, 10, "of matrices"),
    FLOAT("clip_norm", "1", 0, 1e9, "the gradient's norm is cut to this; 0: never"),
    FLOAT("aux_coef", "0", 0, 10,
          "load-balance loss, exact over the global batch; acts with experts only"),
    FLOAT("z_coef", "0", 0, 10,
          "router z-loss, a term for each MoE layer; acts with experts only"),
    FLOAT("head_z_coef", "0", 0, 10, "z-loss of the output logits"),
    FLOAT("bias_rate", "0", 0, 1, "loss-free balance: step of the router's bias; 0: off"),
    INT("eval_steps", "0", 0, 1e9,
        "steps between held-out evaluations; 0: at the end only"),
    INT("eval_docs", "256", 0, 1e9, "held-out documents scored while training; 0: none"),
    ENUM("save_type", "f32", "f32|bf16", "type of the weights in model.safetensors"),
    INT("commit_steps", "0", -1, 1e9,
        "steps between the states that chain.jsonl commits to; 0: a twentieth of the "
        "run, "
        "-1: no chain"),
    /* no effect on the result */
    {.key = "keep_states",
     .type = SM_OPT_BOOL,
     .def = "false",
     .help =
         "keep the committed states as an artifact `checkpoint`, so that an audit may "
         "begin at each"},
    {.key = "micro_shards",
     .type = SM_OPT_INT,
     .def = "0",
     .min = 0,
     .max = 65536,
     .help = "shards computed at once, a power of two; 0: as many as fit memory_mb"},
    {.key = "recompute",
     .type = SM_OPT_BOOL,
     .def = "false",
     .help = "keep only the inputs of blocks: less memory, a third more time"},
    {.key = "memory_mb",
     .type = SM_OPT_INT,
     .def = "4096",
     .min = 16,
     .max = 1e7,
     .unit = "MB",
     .help = "for activations, packed weights and scratch"},
    {.key = "checkpoint_steps",
     .type = SM_OPT_INT,
     .def = "100",
     .min = 0,
     .max = 1e9,
     .help = "steps between checkpoints; 0: none is saved"},
    SM_OPTION_END,
};

static void model_of(sm_model_config *m, const json_t *o, int32_t n_vocab)
{
    m->n_vocab = n_vocab;
    m->n_layer = (int32_t)sm_opt_int(o, "n_layer");
    m->d_model = (int32_t)sm_opt_int(o, "d_model");
    m->n_head = (int32_t)sm_opt_int(o, "n_head");
    m->n_kv_head = (int32_t)sm_opt_int(o, "n_kv_head");
    m->d_head = (int32_t)sm_opt_int(o, "d_head");
    m->d_ff = (int32_t)sm_opt_int(o, "d_ff");
    m->n_expert = (int32_t)sm_opt_int(o, "n_expert");
    m->k_expert = (int32_t)sm_opt_int(o, "k_expert");
    m->d_expert = (int32_t)sm_opt_int(o, "d_expert");
    if (m->n_expert > 0 && m->d_expert == 0)
        m->d_expert = m->d_ff;
    m->d_shared = (int32_t)sm_opt_int(o, "d_shared");
    m->moe_every = (int32_t)sm_opt_int(o, "moe_every");
    m->router = !strcmp(sm_opt_str(o, "router"), "softmax") ? SM_ROUTER_SOFTMAX_TOPK
                                                            : SM_ROUTER_SIGMOID_TOP1;
    m->router_bias = sm_opt_bool(o, "router_bias");
    m->rope_theta = (float)sm_opt_float(o, "rope_theta");
    m->rope_interleaved = sm_opt_bool(o, "rope_interleaved");
    m->nope_every = (int32_t)sm_opt_int(o, "nope_every");
    m->attn_chunk = (int32_t)sm_opt_int(o, "attn_chunk");
    m->qk_norm = sm_opt_bool(o, "qk_norm");
    m->attn_temp_scale = (float)sm_opt_float(o, "attn_temp_scale");
    m->attn_temp_floor = (float)sm_opt_float(o, "attn_temp_floor");
    m->norm_eps = (float)sm_opt_float(o, "norm_eps");
    m->tied = sm_opt_bool(o, "tied");
    m->n_slice = (int32_t)sm_opt_int(o, "n_slice");
    m->max_ctx = (int32_t)sm_opt_int(o, "n_ctx");
}

sm_status train_config_of(sm_train_config *out, const json_t *o, int32_t n_vocab,
                          sm_err *err)
{
    sm_train_config c = SM_TRAIN_CONFIG_DEFAULT;
    model_of(&c.model, o, n_vocab);
    c.profile = sm_opt_str(o, "numerics");
    c.seed = (uint64_t)sm_opt_int(o, "seed");
    c.n_ctx = sm_opt_int(o, "n_ctx");
    c.n_seq = sm_opt_int(o, "n_seq");
    c.n_shard = sm_opt_int(o, "n_shard");
    c.n_steps = sm_opt_int(o, "n_steps");
    c.stop_step = sm_opt_int(o, "stop_step");
    c.schedule =
        !strcmp(sm_opt_str(o, "schedule"), "wsd") ? SM_SCHEDULE_WSD : SM_SCHEDULE_COSINE;
    c.optimizer = !strcmp(sm_opt_str(o, "optimizer"), "muon") ? SM_OPTIMIZER_MUON
                                                              : SM_OPTIMIZER_ADAMW;
    c.muon_momentum = sm_opt_float(o, "muon_momentum");
    c.mup_base_width = sm_opt_int(o, "mup_base_width");
    c.lr = sm_opt_float(o, "lr");
    c.init_gain = sm_opt_float(o, "init_gain");
    c.init_residual = sm_opt_float(o, "init_residual");
    c.min_lr_frac = sm_opt_float(o, "min_lr_frac");
    c.warmup_steps = sm_opt_int(o, "warmup_steps");
    c.decay_frac = sm_opt_float(o, "decay_frac");
    c.beta1 = sm_opt_float(o, "beta1");
    c.beta2 = sm_opt_float(o, "beta2");
    c.eps = sm_opt_float(o, "eps");
    c.weight_decay = sm_opt_float(o, "weight_decay");
    c.clip_norm = sm_opt_float(o, "clip_norm");
    c.loss.aux_coef = (float)sm_opt_float(o, "aux_coef");
    c.loss.z_coef = (float)sm_opt_float(o, "z_coef");
    c.loss.head_z_coef = (float)sm_opt_float(o, "head_z_coef");
    c.bias_rate = sm_opt_float(o, "bias_rate");
    c.eval_steps = sm_opt_int(o, "eval_steps");
    c.micro_shards = sm_opt_int(o, "micro_shards");
    c.recompute = sm_opt_bool(o, "recompute");
    c.memory_bytes = (size_t)sm_opt_int(o, "memory_mb") * 1000000;
    c.checkpoint_steps = sm_opt_int(o, "checkpoint_steps");
    sm_status s = sm_train_config_check(&c, err);
    if (!s)
        *out = c;
    return s;
}
