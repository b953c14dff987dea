/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the agent share: agent.c (requests), work.c (what actors do), steer.c (who goes when). */
#ifndef MKWRITE_AGENT_H
#define MKWRITE_AGENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "stopper.h"

#define PAGE 4096
#define PAGES_MAX 8
#define ACTORS_MAX 8
#define SLOTS_MAX 32
#define ORDERS_MAX 512
#define WORDS_MAX (PAGES_MAX * PAGE / 8)
#define ERROR_SIGBUS 1001
#define ERROR_SIGSEGV 1002
/* What nobody wrote in this run: data of another one, of another place, or garbage. */
#define ALIEN 0xffff

enum kind {
	EMPTY, STORE, LOAD, READ, WRITE, TRUNCATE, WRITEBACK, SYNC_RANGE, FSYNC, MSYNC, INVALIDATE, INVALIDATE2, RECLAIM,
	MUNMAP, MMAP, COPY_RANGE, PUNCH, ZERO_RANGE, PREALLOC, FALLOCATE, FREEZE, WRITE_MAPPED, PIN,
	MREMAP, MPROTECT, KINDS
};
extern const char *const kinds[KINDS];

struct operation { int kind, a, b, c, d; };	/* a to b, and of a copy where it goes */
struct result {
	int called, returned, error, words;	/* words that were stored, loaded, read or written */
	uint16_t values[WORDS_MAX];		/* what was read: a stamp per word */
	int64_t size;
};
struct actor { bool used; int mm, slots, worker; struct operation operations[SLOTS_MAX]; };

/* Orders that are no stop. */
#define TO_THE_END (-1)		/* until the slot is done, or the actor is blocked */
#define BEFORE_IT (-2)		/* in user space, the slot not begun */
struct order { int actor, slot, probe, count; };

struct test {
	char folder[96], server[96];
	int pages, cells, size, mms, drop, orders;
	unsigned blocked_us;
	uint64_t written;
	int64_t initial;
	struct order order[ORDERS_MAX];
	struct actor actors[ACTORS_MAX];
};

/* A thread that plays actors, in the process of an address space. It outlives many runs. */
enum job { OPEN, RUN, CLOSE, QUIT };
struct worker {
	int mm;
	pid_t process;
	_Atomic int thread, job, actor, slot, error;
};

/* Shared with the workers' processes. */
struct shared {
	struct test test;
	uint32_t run;
	char file[128], server[128];
	_Atomic int clock;
	struct result results[ACTORS_MAX][SLOTS_MAX];
	int workers;
	struct worker worker[STOPPER_ACTORS];
};
extern struct shared *shared;
#define test (&shared->test)
extern int stopper;

/* agent.c */
void text(const char *key, const char *value);
int failed(const char *what);

/* work.c */
int make_file(void);
void print_result(const struct result *result, bool values);
void print_file(const char *which, const char *path, int error);
void start_process(int mm, int first, int threads);

/* steer.c */
int run_case(void);
int tries(int count, uint64_t seed);

#endif
