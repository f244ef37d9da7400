/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What outlives a crash of the agent beside the spool: the event socket and the working memory
 * (source/memory.h), which somebody else holds open (agent/hold.h).
 *
 *     hold ─► rescue ─► spool    the account as of the last commit
 *                   ─► pipeline  blocks that were not on disk yet
 *                   ─► source    socket, chunks, flow table
 *
 * Whatever is wrong with it is logged, and the agent begins anew, with a LOSS of unknown size.
 *
 * Thread: the main thread; ft_rescue_on_socket() the source's.
 */
#ifndef FT_AGENT_RESCUE_H
#define FT_AGENT_RESCUE_H 1

#include "agent/options.h"
#include "agent/pipeline.h"
#include "agent/spool.h"
#include "base/cleanup.h"
#include "base/random.h"
#include "source/saved.h"

struct ft_rescue;

/* Whether the configuration wants it: not without a spool, because with a log in memory what was
 * sealed goes with the process anyway. */
bool ft_rescue_is_wanted(const struct ft_agent_options *config);

/*
 * Looks for what the last process has left.  Where the configuration wants none of it, it is let
 * go.  -ENOMEM.
 */
FT_MUST_USE ft_err ft_rescue_open(const struct ft_agent_options *config, struct ft_random *random,
                                  struct ft_rescue **ret_rescue);
/* Accepts NULL.  What is held stays held, for the next process. */
void ft_rescue_close(struct ft_rescue *rescue);
FT_DEFINE_CLEANUP(struct ft_rescue, ft_rescue_close);

/* For the spool; NULL when there is nothing. */
const struct ft_spool_kept *ft_rescue_get_kept(const struct ft_rescue *rescue);

/*
 * The spool knows whether what was kept is its own ('went_on'); else it is let go.  From here on
 * there is a memory, where one is wanted and can be held.  'unclean': the last process did not stop
 * by itself, so if it has left nothing, that is a loss.
 */
void ft_rescue_begin(struct ft_rescue *rescue, bool went_on, bool unclean);

/* Fills a new memory with what a clean stop has kept of flows in the spool's directory. */
void ft_rescue_load(struct ft_rescue *rescue, struct ft_disk *disk,
                    const struct ft_saved_owner *owner);

/* What was adopted is of no use after all: a new memory takes its place. */
void ft_rescue_begin_anew(struct ft_rescue *rescue, const char *why);

/* NULL: a crash takes what the process knows with it. */
struct ft_memory *ft_rescue_get_memory(const struct ft_rescue *rescue);
/* The event socket, the caller's from then on; -1: none. */
int ft_rescue_take_events(struct ft_rescue *rescue);
/* ft_socket_fn: has it held; 'ctx' is the rescue. */
void ft_rescue_on_socket(void *ctx, int fd);

/* Gives blocks behind number 'known_seq', and the one that begins with 'held_seq', to the pipeline,
 * in their order. */
void ft_rescue_restore(const struct ft_rescue *rescue, struct ft_pipeline *pipeline,
                       uint64_t known_seq, uint64_t held_seq);

/* True when the last process was cut off and what it had known is not there or of no use. */
bool ft_rescue_get_loss(const struct ft_rescue *rescue, struct ft_loss *ret_loss);

/* A clean stop: nothing is held any more. */
void ft_rescue_release(struct ft_rescue *rescue);

#endif
