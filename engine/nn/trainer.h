/* The inside of the trainer: what trainer.c, which runs programs, and trainer_programs.c, which writes them, share. */
#ifndef TD_NN_TRAINER_H
#define TD_NN_TRAINER_H

#include "nn/learn.h"

/* Inputs of the programs.  A step takes the first five, an evaluation the first three, an update all. */
enum trainer_in { IN_X, IN_Y, IN_LENGTHS, IN_T, IN_GATE, IN_WEIGHT, N_IN };
enum trainer_out { OUT_LOSS, OUT_WEIGHT, OUT_GRAD_NORM, OUT_ANSWER, OUT_EACH, N_OUT };

/* What the trainer keeps for one of the model's parameters. */
struct trainer_slot {
	bool learns;                    /* neither frozen nor a buffer: has state, gradients, updates */
	int group;                      /* of the optimizer; -1: none */
	int n_state;                    /* 0: none, or it does not learn */
	td_value *state[NN_STATE_MOST]; /* owned */
	td_value *grad;    /* borrowed from the step that is being written; NULL: the loss does not depend on it */
	td_value *sum;     /* owned; of the batches' gradients; NULL unless steps accumulate */
	bool summed;       /* SUM has met a gradient */
	td_value *kept;    /* owned; for nn_trainer_gradient; NULL until it is asked for */
	td_value *average; /* owned; of its values; NULL: none is kept */
	bool has_kept;     /* KEPT is written by steps that keep gradients */
};

/* A program comes in variants: with and without what not every step is asked for. */
struct trainer_variant {
	struct nn_trainer *t; /* borrowed; whose this is */
	bool answers;         /* tells what the model answered */
	bool keeps;           /* keeps the gradients */
	struct nn_program program;
};

#define VARIANTS 4 /* bit 0: answers, bit 1: keeps */

struct nn_trainer {
	td_ctx *c;                         /* borrowed */
	struct nn_model *model;            /* borrowed */
	struct opt_choice loss, optimizer; /* options borrowed */
	int64_t accumulate;                /* at least 1 */
	double clip_norm, clip_value;      /* 0: none */
	double ema_decay;                  /* of the averages; 0: there are none */
	td_value *n_averaged;       /* owned; float32 scalar: updates that are in the averages; NULL: there are none */
	struct trainer_slot *slots; /* owned; one per parameter of the model */
	td_value **lr;              /* owned; of the optimizer, then of each group */
	int n_lr;
	td_value *t, *gate, *weight;             /* owned; float32 scalars that programs take */
	td_value *momentum;                      /* owned; likewise; NULL: it does not move */
	double evaluated_weight;                 /* of the last evaluation; see nn_trainer_evaluated_weight */
	struct trainer_variant step[VARIANTS];   /* a whole step of one batch */
	struct trainer_variant gather[VARIANTS]; /* one batch of many: its gradients are added up */
	struct trainer_variant update[VARIANTS]; /* what follows them */
	struct trainer_variant evaluation;       /* no gradients */
	bool keep;                               /* gradients, from here on */
	bool kept;                               /* the last step did */
	td_shape answer, each;                   /* for the batch that the model was built for */
	float *answer_room, *each_room;          /* owned; for ANSWERED */
	int64_t answer_most, each_most;          /* elements there */
};

static inline const struct nn_loss_type *trainer_loss(const struct nn_trainer *t)
{
	return (const struct nn_loss_type *)t->loss.type;
}

static inline const struct nn_optimizer_type *trainer_optimizer(const struct nn_trainer *t)
{
	return (const struct nn_optimizer_type *)t->optimizer.type;
}

/* The programs; ARG is a trainer_variant. */
void trainer_write_step(td_ctx *c, void *arg, td_value *const *in, td_value **out);
void trainer_write_gather(td_ctx *c, void *arg, td_value *const *in, td_value **out);
void trainer_write_update(td_ctx *c, void *arg, td_value *const *in, td_value **out);
void trainer_write_evaluation(td_ctx *c, void *arg, td_value *const *in, td_value **out);

#endif
