/* SPDX-License-Identifier: Apache-2.0 */
/* smelt train: a dataset and a tokenizer into a model. */
#include <string.h>

#include "cmd.h"

static const sm_option options[] = {
    STEP_VERB_OPTIONS,
    {.key = "profile",
     .type = SM_OPT_PATH,
     .def = "",
     .help = "say where the steps went, by operation, and write this file: a trace that "
             "Perfetto opens"},
    {.key = "find_lr",
     .type = SM_OPT_BOOL,
     .def = "false",
     .help = "look for a learning rate with a short run of rising ones; make nothing"},
    {.key = "find_lr_steps",
     .type = SM_OPT_INT,
     .def = "100",
     .min = 10,
     .max = 100000,
     .help = "steps of that run"},
    {.key = "find_lr_min",
     .type = SM_OPT_FLOAT,
     .def = "1e-6",
     .min = 1e-12,
     .max = 10,
     .help = "its first rate"},
    {.key = "find_lr_max",
     .type = SM_OPT_FLOAT,
     .def = "1",
     .min = 1e-12,
     .max = 10,
     .help = "its last rate"},
    SM_OPTION_END,
};

/* Can the file be made?  One that is there is left as it is until there is another. */
static sm_status check_writable(const char *path, sm_err *err)
{
    sm_file_writer *w = NULL;
    if (sm_path_is_dir(path))
        return sm_fail(err, SM_EINVAL, "train: --profile: %s is a directory, want a file",
                       path);
    if (sm_path_is_special(path)) /* opened once: the reader of a FIFO would see its end */
        return SM_OK;
    sm_status s = sm_file_writer_open_named(&w, path, 0644, err);
    sm_file_writer_abort(w);
    return s;
}

static int run(app *a, const verb *self, const args *in)
{
    static const char *const of_find_lr[] = {"find_lr_steps", "find_lr_min", "find_lr_max",
                                             NULL};
    sm_err err = {0};
    const char *idle = args_idle(in, of_find_lr, "find_lr");
    if (idle)
        return args_refuse_idle(a, self, idle, "find_lr");
    const char *path = sm_opt_str(in->opt, "profile");
    if (sm_opt_bool(in->opt, "find_lr")) {
        if (*path || sm_opt_bool(in->opt, "dry_run"))
            return app_usage(a, "train: --find-lr excludes --dry-run and --profile");
        return run_find_lr(a, self, in);
    }
    if (!strcmp(path, "bf16/1") || !strcmp(path, "f32/1"))
        return app_usage(
            a, "train: --profile: got %s, want a file; the option for that is --numerics",
            path);
    if (*path && !sm_opt_bool(in->opt, "dry_run")) { /* before hours of training */
        sm_status s = check_writable(path, &err);
        if (s)
            return app_fail(a, s, &err);
        a->profile = path;
    }
    return run_step_verb(a, self, in);
}

const verb verb_train = {
    .name = "train",
    .usage = "DATASET TOKENIZER | CONFIG.yaml",
    .summary = "train a model on the training part of a dataset",
    .details =
        "CONFIG.yaml has the keys of one step of a pipeline: in, as, options; flags\n"
        "win over it.  An interrupted run goes on from its newest checkpoint when the\n"
        "same command is given again.  --dry-run prints what the run would take.\n"
        "--find-lr raises the learning rate exponentially until the loss breaks, shows\n"
        "the curve and suggests a peak rate for the options given.\n"
        "--profile records every operation of every thread; it changes no result.\n"
        "Neither does SMELT_CPU=ref|avx2|avx512|avx512bf16|amx in the environment, which\n"
        "says what kernels to compute with; by default the fastest here.",
    .example =
        "smelt train unix unix-tokenizer --as unix-moe --n-expert 8 --d-expert 256\n"
        "smelt train config.yaml --dry-run\n"
        "smelt train unix unix-tokenizer --find-lr --optimizer muon",
    .options = options,
    .step = "train",
    .max_pos = -1,
    .run = run,
};
