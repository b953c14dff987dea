// SPDX-License-Identifier: GPL-2.0
// Stops registered threads at chosen places of the kernel until they are released. For x86-64, and for virtual
// machines that nobody minds: a stopped thread keeps its locks.
//
// A place is a kprobe: the entry of a function, an instruction, or the return of a function. A kprobe's handler may not
// sleep, so it does not wait: it sends the thread to a trampoline, which runs in the thread's own context, saves the
// registers, waits there (asleep where the context allows it, else spinning up to a deadline), restores them and goes
// on at the probed instruction. At the second arrival there a mark lets it pass. For a function's return the handler
// of its entry replaces the return address by that of another trampoline.
//
// Who is blocked is read off the scheduler's tracepoints: since when an actor sleeps outside of a stop.
#include <linux/kprobes.h>
#include <linux/ktime.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/tracepoint.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "stopper.h"

#define NESTED 16	/* probed functions within one another, per actor */
#define SPIN_LIMIT_NS (20ULL * NSEC_PER_SEC)

/* What the trampolines push, in the order of memory. */
struct saved {
	unsigned long r15, r14, r13, r12, r11, r10, r9, r8, di, si, bp, dx, cx, bx, ax, flags, target;
};

struct probe {
	struct kprobe kp;
	bool returns, used;
};

struct actor {
	struct task_struct *task;
	int armed, count;		/* stop at this probe, when the count gets to 0 */
	int at;				/* the probe where it stands; or NOT_STOPPED, or RESTS */
	bool spins, released;
	bool only_asleep;		/* stops where it may sleep, and nowhere else */
	u64 asleep;			/* since when it sleeps, in ns; 0: it does not */
	unsigned long pass;		/* let this address pass once */
	struct probe *pending;		/* on its way to stand there */
	wait_queue_head_t released_wq;
	struct { unsigned long address; struct probe *probe; } returns[NESTED];
	int depth;
};

#define NOT_STOPPED (-1)
#define RESTS (-2)

static struct actor actors[STOPPER_ACTORS];
static struct probe probes[STOPPER_PROBES];
static struct stopper_pass passes[STOPPER_LOG];
static atomic_t passed;
static DEFINE_MUTEX(control);
static DECLARE_WAIT_QUEUE_HEAD(changed);

void stopper_entry_trampoline(void);
void stopper_return_trampoline(void);
unsigned long stopper_arrive(struct saved *saved, int returns);

/* Room for the address to go on at, then flags and registers; the call; and back, all as it was. */
#define TRAMPOLINE(name, returns)						\
	asm(".pushsection .text\n.globl " name "\n.type " name ",@function\n" name ":\n" \
	    "sub $8,%rsp\npushfq\n"						\
	    "push %rax\npush %rbx\npush %rcx\npush %rdx\npush %rbp\npush %rsi\npush %rdi\n" \
	    "push %r8\npush %r9\npush %r10\npush %r11\npush %r12\npush %r13\npush %r14\npush %r15\n" \
	    "mov %rsp,%rdi\nmov $" returns ",%esi\nmov %rsp,%rbp\nand $-16,%rsp\ncld\n" \
	    "call stopper_arrive\n"						\
	    "mov %rbp,%rsp\nmov %rax,128(%rsp)\n"				\
	    "pop %r15\npop %r14\npop %r13\npop %r12\npop %r11\npop %r10\npop %r9\npop %r8\n" \
	    "pop %rdi\npop %rsi\npop %rbp\npop %rdx\npop %rcx\npop %rbx\npop %rax\npopfq\nret\nint3\n" \
	    ".size " name ", .-" name "\n.popsection\n")
TRAMPOLINE("stopper_entry_trampoline", "0");
TRAMPOLINE("stopper_return_trampoline", "1");

static struct actor *actor_of(struct task_struct *task)
{
	int i;

	for (i = 0; i < STOPPER_ACTORS; i++)
		if (READ_ONCE(actors[i].task) == task)
			return &actors[i];
	return NULL;
}

static int number(struct probe *p)
{
	return p - probes;
}

static void note(struct actor *a, struct probe *p)
{
	int n = atomic_inc_return(&passed) - 1;

	if (n < STOPPER_LOG)
		passes[n] = (struct stopper_pass){ a - actors, number(p) };
}

static bool is_due(struct actor *a, struct probe *p)
{
	int armed = READ_ONCE(a->armed);

	return (armed == number(p) || armed == STOPPER_ANY) && --a->count <= 0;
}

/* Stands still until it is released. */
static void stand(struct actor *a, struct probe *p)
{
	bool may_sleep = preempt_count() == 0 && !irqs_disabled() && !rcu_preempt_depth();
	u64 end = ktime_get_mono_fast_ns() + SPIN_LIMIT_NS;

	if (!may_sleep && a->only_asleep) {
		a->count = 1;
		a->armed = STOPPER_ANY;
		return;
	}
	a->armed = STOPPER_NOWHERE;
	a->released = false;
	a->spins = !may_sleep;
	smp_store_release(&a->at, number(p));
	if (may_sleep) {
		wake_up(&changed);
		wait_event_idle(a->released_wq, READ_ONCE(a->released));
	} else {
		while (!READ_ONCE(a->released) && ktime_get_mono_fast_ns() < end)
			cpu_relax();
	}
}

/* From the trampolines. Returns where to go on. */
unsigned long stopper_arrive(struct saved *saved, int returns)
{
	struct actor *a = actor_of(current);
	struct probe *p;

	if (!returns) {
		p = a->pending;
		stand(a, p);
		a->pass = (unsigned long)p->kp.addr;
		return a->pass;
	}
	p = a->returns[--a->depth].probe;
	note(a, p);
	if (is_due(a, p))
		stand(a, p);
	return a->returns[a->depth].address;
}
NOKPROBE_SYMBOL(stopper_arrive);

static int on_probe(struct kprobe *kp, struct pt_regs *regs)
{
	struct probe *p = container_of(kp, struct probe, kp);
	struct actor *a = actor_of(current);
	unsigned long *top = (unsigned long *)regs->sp;

	if (!a)
		return 0;
	if (p->returns) {
		/* A stop at the same entry brings it here twice. */
		if (*top != (unsigned long)stopper_return_trampoline && a->depth < NESTED) {
			a->returns[a->depth].address = *top;
			a->returns[a->depth++].probe = p;
			*top = (unsigned long)stopper_return_trampoline;
		}
		return 0;
	}
	if (a->pass == (unsigned long)kp->addr) {
		a->pass = 0;
		return 0;
	}
	note(a, p);
	if (!is_due(a, p))
		return 0;
	a->pending = p;
	regs->ip = (unsigned long)stopper_entry_trampoline;
	return 1;
}
NOKPROBE_SYMBOL(on_probe);

/* That there is one keeps a probe from being optimised, and lets one on ftrace change regs->ip. */
static void after_probe(struct kprobe *kp, struct pt_regs *regs, unsigned long flags) {}
NOKPROBE_SYMBOL(after_probe);

static void on_switch(void *data, bool preempt, struct task_struct *prev, struct task_struct *next, unsigned int state)
{
	int i;

	for (i = 0; i < STOPPER_ACTORS; i++) {
		struct task_struct *task = READ_ONCE(actors[i].task);

		if (task && task == prev && !preempt && state)
			WRITE_ONCE(actors[i].asleep, ktime_get_mono_fast_ns());
		else if (task && task == next)
			WRITE_ONCE(actors[i].asleep, 0);
	}
}

static void on_waking(void *data, struct task_struct *task)
{
	struct actor *a = actor_of(task);

	if (a)
		WRITE_ONCE(a->asleep, 0);
}

static int add_probe(struct stopper_probe __user *user)
{
	struct stopper_probe io;
	struct probe *p = NULL;
	int i, error;

	if (copy_from_user(&io, user, sizeof(io)))
		return -EFAULT;
	for (i = 0; i < STOPPER_PROBES && !p; i++)
		if (!probes[i].used)
			p = &probes[i];
	if (!p)
		return -ENOSPC;
	memset(p, 0, sizeof(*p));
	p->returns = io.kind == STOPPER_RETURN;
	p->kp.addr = (kprobe_opcode_t *)(unsigned long)io.address;
	p->kp.pre_handler = on_probe;
	p->kp.post_handler = after_probe;
	error = register_kprobe(&p->kp);
	if (error)
		return error;
	p->used = true;
	return put_user(number(p), &user->number);
}

static void release(struct actor *a)
{
	WRITE_ONCE(a->at, NOT_STOPPED);	/* whoever waits no longer sees the old stop */
	WRITE_ONCE(a->released, true);
	wake_up(&a->released_wq);
}

/* The calling thread is this actor, and stands still between two operations. */
static int rest(struct actor *a)
{
	if (a->task != current) {
		a->armed = STOPPER_NOWHERE;
		a->pass = 0;
		a->depth = 0;
		WRITE_ONCE(a->task, current);
	}
	WRITE_ONCE(a->armed, STOPPER_NOWHERE);
	a->released = false;
	smp_store_release(&a->at, RESTS);
	wake_up(&changed);
	wait_event_idle(a->released_wq, READ_ONCE(a->released));
	return 0;
}

static int go(const struct stopper_go *io)
{
	struct actor *a = &actors[io->actor];

	if (io->probe >= STOPPER_PROBES)
		return -EINVAL;
	/* Elsewhere than at rest it may still have to come back through a trampoline, as this actor. */
	if (io->probe == STOPPER_LEAVE && a->at == RESTS)
		WRITE_ONCE(a->task, NULL);
	a->count = io->count;
	a->only_asleep = io->flags & STOPPER_ASLEEP;
	WRITE_ONCE(a->armed, io->probe);
	if (!(io->flags & STOPPER_KEEP))
		release(a);
	return 0;
}

static bool is_settled(struct actor *a, struct stopper_wait *io)
{
	int at = smp_load_acquire(&a->at);
	u64 asleep = READ_ONCE(a->asleep), now = ktime_get_mono_fast_ns();

	io->probe = at >= 0 ? at : STOPPER_NOWHERE;
	if (at == RESTS)
		io->state = STOPPER_IDLE;
	else if (at >= 0)
		io->state = a->spins ? STOPPER_SPINS : STOPPER_STOPPED;
	else if (asleep && now > asleep && now - asleep > (u64)io->blocked_us * NSEC_PER_USEC)
		io->state = STOPPER_BLOCKED;
	else
		io->state = STOPPER_RUNS;
	return io->state != STOPPER_RUNS;
}

/* Sleeps until the actor stands, rests or is blocked, or the deadline is over. */
static int wait_for(struct stopper_wait *io)
{
	struct actor *a = &actors[io->actor];
	u64 end = ktime_get_mono_fast_ns() + (u64)io->limit_us * NSEC_PER_USEC;
	ktime_t nap = ns_to_ktime(((u64)io->blocked_us / 2 + 100) * NSEC_PER_USEC);

	while (!is_settled(a, io) && ktime_get_mono_fast_ns() < end) {
		/* Being blocked, and spinning, wake nobody: look again after a nap. */
		wait_event_interruptible_hrtimeout(changed, READ_ONCE(a->at) != NOT_STOPPED, nap);
		if (signal_pending(current))
			return -EINTR;
	}
	return 0;
}

static int read_passes(struct stopper_passes __user *user)
{
	u32 from, n = min_t(u32, atomic_read(&passed), STOPPER_LOG);

	if (get_user(from, &user->from))
		return -EFAULT;
	n = from < n ? min_t(u32, n - from, ARRAY_SIZE(user->pass)) : 0;
	if (copy_to_user(user->pass, &passes[from], n * sizeof(passes[0])))
		return -EFAULT;
	return put_user(n, &user->count);
}

static long stopper_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	void __user *user = (void __user *)argument;
	struct stopper_wait wait;
	struct stopper_go going;
	s32 actor;
	long r = 0;

	switch (command) {
	case STOPPER_REST:
		if (get_user(actor, (s32 __user *)user))
			return -EFAULT;
		return actor < 0 || actor >= STOPPER_ACTORS ? -EINVAL : rest(&actors[actor]);
	case STOPPER_WAIT:
		if (copy_from_user(&wait, user, sizeof(wait)))
			return -EFAULT;
		if (wait.actor < 0 || wait.actor >= STOPPER_ACTORS)
			return -EINVAL;
		r = wait_for(&wait);
		return r ? r : copy_to_user(user, &wait, sizeof(wait)) ? -EFAULT : 0;
	}
	mutex_lock(&control);
	switch (command) {
	case STOPPER_ADD:
		r = add_probe(user);
		break;
	case STOPPER_GO:
		if (copy_from_user(&going, user, sizeof(going)))
			r = -EFAULT;
		else
			r = going.actor < 0 || going.actor >= STOPPER_ACTORS ? -EINVAL : go(&going);
		break;
	case STOPPER_PASSES:
		r = read_passes(user);
		break;
	case STOPPER_EMPTY:
		atomic_set(&passed, 0);
		break;
	default:
		r = -ENOTTY;
	}
	mutex_unlock(&control);
	return r;
}

static const struct file_operations stopper_fops = { .owner = THIS_MODULE, .unlocked_ioctl = stopper_ioctl };
static struct miscdevice device = { .minor = MISC_DYNAMIC_MINOR, .name = "mkwrite_stopper", .fops = &stopper_fops };
static struct tracepoint *switch_tp, *waking_tp;

static void find_tracepoint(struct tracepoint *tp, void *unused)
{
	if (!strcmp(tp->name, "sched_switch"))
		switch_tp = tp;
	if (!strcmp(tp->name, "sched_waking"))
		waking_tp = tp;
}

static int __init stopper_init(void)
{
	int i, error;

	for (i = 0; i < STOPPER_ACTORS; i++) {
		init_waitqueue_head(&actors[i].released_wq);
		actors[i].armed = STOPPER_NOWHERE;
		actors[i].at = NOT_STOPPED;
	}
	for_each_kernel_tracepoint(find_tracepoint, NULL);
	if (!switch_tp || !waking_tp)
		return -ENOENT;
	error = tracepoint_probe_register(switch_tp, on_switch, NULL);
	if (error)
		return error;
	error = tracepoint_probe_register(waking_tp, on_waking, NULL);
	if (error)
		goto no_waking;
	error = misc_register(&device);
	if (error)
		goto no_device;
	return 0;
no_device:
	tracepoint_probe_unregister(waking_tp, on_waking, NULL);
no_waking:
	tracepoint_probe_unregister(switch_tp, on_switch, NULL);
	tracepoint_synchronize_unregister();
	return error;
}

/* There is no exit: a return address may have been replaced, or a thread may stand in the trampoline. */
module_init(stopper_init);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("mkwrite: stops threads at kprobes until they are released");
