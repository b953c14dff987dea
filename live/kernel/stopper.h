/* SPDX-License-Identifier: GPL-2.0 */
/* What stopper.ko and its controller say to each other: ioctls on /dev/mkwrite_stopper. */
#ifndef MKWRITE_STOPPER_H
#define MKWRITE_STOPPER_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define STOPPER_ACTORS 24
#define STOPPER_PROBES 256
#define STOPPER_LOG 4096

/* In place of a probe's number. */
#define STOPPER_NOWHERE (-1)	/* go on without a stop */
#define STOPPER_LEAVE (-2)	/* the actor is idle and ends: forget it */
#define STOPPER_ANY (-3)	/* whichever it comes by */

/* How an actor goes on. */
#define STOPPER_KEEP 1		/* only set the stop; it is on its way already */
#define STOPPER_ASLEEP 2	/* where it may not sleep it does not stop, but at the next probe where it may */

enum stopper_kind { STOPPER_AT = 0, STOPPER_RETURN = 1 };

enum stopper_state {
	STOPPER_IDLE = 0,	/* between two operations, in STOPPER_REST */
	STOPPER_STOPPED = 1,	/* at a probe, asleep */
	STOPPER_SPINS = 2,	/* at a probe, spinning: that place may not sleep */
	STOPPER_BLOCKED = 3,	/* asleep in the kernel for longer than `blocked_us` */
	STOPPER_RUNS = 4,	/* none of these until the deadline */
};

struct stopper_probe {
	__u64 address;		/* of the function's entry, or of an instruction */
	__u32 kind;		/* enum stopper_kind */
	__s32 number;		/* out: what the other calls name it by */
};

struct stopper_go {
	__s32 actor, probe;
	__s32 count;		/* stop at the count-th passing of the probe, from now */
	__s32 flags;		/* STOPPER_KEEP, STOPPER_ASLEEP */
};

struct stopper_wait {
	__s32 actor;
	__u32 blocked_us, limit_us;
	__s32 state, probe;	/* out: enum stopper_state, and where it stands */
};

struct stopper_pass { __u32 actor, probe; };

struct stopper_passes {
	__u32 from, count;	/* out: how many there are from the `from`-th on, at most 256 */
	struct stopper_pass pass[256];
};

#define STOPPER_ADD _IOWR('k', 1, struct stopper_probe)
#define STOPPER_REST _IOW('k', 2, __s32)	/* by an actor: I am actor N, and have nothing to do */
#define STOPPER_GO _IOW('k', 3, struct stopper_go)
#define STOPPER_WAIT _IOWR('k', 4, struct stopper_wait)
#define STOPPER_PASSES _IOWR('k', 5, struct stopper_passes)
#define STOPPER_EMPTY _IO('k', 6)	/* empty the log */

#endif
