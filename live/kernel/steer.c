// SPDX-License-Identifier: GPL-2.0
// Who goes when: runs a case by its orders, or draws orders while it runs. The controller is a process of its own, and
// so needs no lock that a stopped actor may hold.
//
// A schedule is drawn from the points that operations of a kind are known to come by, learnt while running, so that one
// that few operations reach counts as much as one that all do; and some stops are at whatever comes after so many. What
// was drawn is said as orders, by which the same run can be had again.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#define STEP_LIMIT_US 3000000
#define END_LIMIT_US 10000000
#define STEPS_MAX 60		/* of a schedule that is drawn */
#define STOPS_MAX 4

/* ---- workers */

static void tell(int worker, int probe, int count, int flags)
{
	struct stopper_go io = { worker, probe, count, flags };

	ioctl(stopper, STOPPER_GO, &io);
}

static struct stopper_wait await(int worker, unsigned limit_us)
{
	struct stopper_wait io = { .actor = worker, .blocked_us = test->blocked_us, .limit_us = limit_us };

	ioctl(stopper, STOPPER_WAIT, &io);
	return io;
}

static bool settles_idle(int worker)
{
	for (unsigned waited = 0; waited < END_LIMIT_US; waited += 1000) {
		if (await(worker, STEP_LIMIT_US).state == STOPPER_IDLE)
			return true;
		usleep(1000);
	}
	return false;
}

/* Lets a worker that rests do something, up to its end. Returns its error, or ETIMEDOUT. */
static int job(int worker, enum job job)
{
	shared->worker[worker].error = 0;
	shared->worker[worker].job = job;
	tell(worker, STOPPER_NOWHERE, 0, 0);
	return settles_idle(worker) ? shared->worker[worker].error : ETIMEDOUT;
}

/* Returns whether all processes have gone. One that hangs in the kernel cannot be killed. */
static bool retire(void)
{
	for (int i = 0; i < shared->workers; i++) {
		shared->worker[i].job = QUIT;
		if (await(i, 0).state == STOPPER_IDLE)
			tell(i, STOPPER_LEAVE, 0, 0);
		else
			tell(i, STOPPER_NOWHERE, 0, 0);
	}
	for (int i = 0, tries = 0; i < shared->workers; tries++) {
		pid_t process = shared->worker[i].process;

		if (waitpid(process, NULL, WNOHANG) != 0) {
			while (i < shared->workers && shared->worker[i].process == process)
				i++;
			continue;
		}
		if (tries == 500)
			kill(process, SIGKILL);
		if (tries > 1000)
			return false;
		usleep(tries < 50 ? 200 : 10000);
	}
	shared->workers = 0;
	return true;
}

static int threads_of(int mm)
{
	int n = 0;

	for (int i = 0; i < shared->workers; i++)
		n += shared->worker[i].mm == mm;
	return n;
}

/* Gives each actor a worker of its address space. Those of the runs before are taken if there are enough. */
static int find_workers(void)
{
	int needed[ACTORS_MAX] = { 0 }, total = 0;
	bool enough = true;

	for (int i = 0; i < ACTORS_MAX; i++)
		if (test->actors[i].used)
			needed[test->actors[i].mm]++;
	for (int mm = 0; mm < ACTORS_MAX; mm++)
		enough &= threads_of(mm) >= needed[mm];
	for (int mm = 0; mm < ACTORS_MAX && !enough; mm++) {
		if (needed[mm] < threads_of(mm))
			needed[mm] = threads_of(mm);
		total += needed[mm];
	}
	if (!enough && (total > STOPPER_ACTORS || !retire()))
		return failed("workers");
	for (int mm = 0; mm < ACTORS_MAX && !enough; mm++)
		if (needed[mm]) {
			start_process(mm, shared->workers, needed[mm]);
			shared->workers += needed[mm];
		}
	for (int i = 0, worker = -1; i < ACTORS_MAX; i++) {
		if (!test->actors[i].used)
			continue;
		for (worker = 0; shared->worker[worker].mm != test->actors[i].mm; worker++)
			;
		for (int before = 0; before < i; before++)
			worker += test->actors[before].used && test->actors[before].mm == test->actors[i].mm;
		test->actors[i].worker = worker;
	}
	return 0;
}

/* All that play, open and close: once for each address space. */
static int all_do(enum job what)
{
	bool done[ACTORS_MAX] = { false };
	int error = 0;

	for (int i = 0; i < ACTORS_MAX; i++) {
		struct actor *actor = &test->actors[i];

		if (!actor->used || done[actor->mm])
			continue;
		done[actor->mm] = true;
		error = error ? error : job(actor->worker, what);
	}
	return error;
}

/* ---- what actors came by */

static struct stopper_pass passes[STOPPER_LOG];
static unsigned passed;
static unsigned short hits[ACTORS_MAX][STOPPER_PROBES];		/* in the slot that it is in */
static unsigned char learned[KINDS][STOPPER_PROBES];		/* most in one operation */

/* Reads the log on. Workers become actors. */
static void read_log(void)
{
	struct stopper_passes io = { .from = passed };

	while (!ioctl(stopper, STOPPER_PASSES, &io) && io.count) {
		for (unsigned n = 0; n < io.count; n++)
			for (int i = 0; i < ACTORS_MAX; i++)
				if (test->actors[i].used && test->actors[i].worker == (int)io.pass[n].actor) {
					hits[i][io.pass[n].probe]++;
					passes[io.from + n] = (struct stopper_pass){ i, io.pass[n].probe };
				}
		io.from += io.count;
	}
	passed = io.from;
}

static void learn(int kind, const unsigned short *hits)
{
	for (int probe = 0; probe < STOPPER_PROBES; probe++)
		if (hits[probe] > learned[kind][probe])
			learned[kind][probe] = hits[probe] < 40 ? hits[probe] : 40;
}

/* ---- actors */

static int begun[ACTORS_MAX];		/* slots that an actor has begun */
static unsigned since[ACTORS_MAX][SLOTS_MAX];	/* where in the log a slot begins */
static bool quiet;			/* a run of many: only its result is said */

static struct stopper_wait settle(int actor, unsigned limit_us)
{
	return await(test->actors[actor].worker, limit_us);
}

/* Those that somebody else has woken get to where they stop. */
static void settle_others(int actor)
{
	for (int i = 0; i < ACTORS_MAX; i++)
		if (i != actor && test->actors[i].used && settle(i, 0).state == STOPPER_RUNS)
			settle(i, STEP_LIMIT_US);
	read_log();
}

static int slot_of(int actor)
{
	return shared->worker[test->actors[actor].worker].slot;
}

static bool has_more(int i)
{
	struct actor *actor = &test->actors[i];

	while (begun[i] < actor->slots && actor->operations[begun[i]].kind == EMPTY)
		begun[i]++;
	return begun[i] < actor->slots;
}

/* Lets an actor that rests begin its next slot, or one that does not go on. */
static void go_on(int i, const struct stopper_wait *at, int probe, int count)
{
	struct worker *worker = &shared->worker[test->actors[i].worker];
	int flags = (at->state == STOPPER_BLOCKED ? STOPPER_KEEP : 0) | (quiet ? STOPPER_ASLEEP : 0);

	if (at->state == STOPPER_IDLE) {
		if (!has_more(i))
			return;
		read_log();
		memset(hits[i], 0, sizeof(hits[i]));
		worker->job = RUN;
		worker->actor = i;
		worker->slot = begun[i]++;
		since[i][worker->slot] = passed;
	}
	tell(test->actors[i].worker, probe, count, flags);
}

static void print_stack(int i)
{
	struct worker *worker = &shared->worker[test->actors[i].worker];
	char path[64], line[256];
	bool first = true;
	FILE *stack;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stack", worker->process, worker->thread);
	stack = fopen(path, "r");
	printf(",\"stack\":[");
	while (stack && fgets(line, sizeof(line), stack)) {
		char function[128];

		if (sscanf(line, "[<%*[^>]>] %127[^+ \n]", function) != 1)
			continue;
		printf("%s\"%s\"", first ? "" : ",", function);
		first = false;
	}
	putchar(']');
	if (stack)
		fclose(stack);
}

static const char *const states[] = { "finished", "stopped", "spins", "blocked", "runs" };

static void print_order(int number, int actor, int slot, const char *how, int probe, bool stack)
{
	if (quiet && number >= 0)
		return;
	printf("{\"order\":{\"number\":%d,\"actor\":%d,\"slot\":%d,\"how\":\"%s\",\"probe\":%d", number, actor, slot, how, probe);
	if (stack)
		print_stack(actor);
	printf("}}\n");
}

/* ---- by orders */

/* Runs an actor until it stands where the order says; slots before that one run to their end first. */
static void follow(int number)
{
	struct order *order = &test->order[number];
	int i = order->actor;

	for (;;) {
		struct stopper_wait at = settle(i, 0);
		bool idle = at.state == STOPPER_IDLE;
		int slot = idle ? (has_more(i), begun[i]) : slot_of(i);
		bool own = slot == order->slot;
		int probe = own ? order->probe : TO_THE_END, before = 0;

		if (slot > order->slot || (idle && !has_more(i))) {
			print_order(number, i, order->slot, order->probe == TO_THE_END ? "finished" : "missed", -1, false);
			return;
		}
		if (idle && own && probe == BEFORE_IT) {
			print_order(number, i, slot, "stopped", probe, false);
			return;
		}
		read_log();
		if (own && !idle && probe >= 0)
			before = hits[i][probe];
		/* Two points of the model may be one place in the kernel. */
		if (before && before == order->count && at.probe == probe) {
			print_order(number, i, slot, "stopped", probe, false);
			return;
		}
		go_on(i, &at, probe >= 0 ? probe : STOPPER_NOWHERE, order->count - before);
		at = settle(i, STEP_LIMIT_US);
		settle_others(i);
		if (own || at.state != STOPPER_IDLE) {
			bool missed = own && probe >= 0 && at.state == STOPPER_IDLE;

			print_order(number, i, slot, missed ? "missed" : states[at.state], at.probe,
				    at.state == STOPPER_BLOCKED || at.state == STOPPER_RUNS);
			return;
		}
	}
}

/* After the last order: everybody to the end, the lowest first. Returns whether somebody did not get there. */
static bool finish(void)
{
	bool busy = true;

	for (int round = 0; busy && round < 2 * ACTORS_MAX * SLOTS_MAX; round++) {
		bool moved = false;

		busy = false;
		for (int i = 0; i < ACTORS_MAX; i++) {
			struct stopper_wait at;

			if (!test->actors[i].used)
				continue;
			at = settle(i, 0);
			if (at.state != STOPPER_RUNS)
				go_on(i, &at, STOPPER_NOWHERE, 0);
			moved |= at.state == STOPPER_STOPPED || at.state == STOPPER_SPINS ||
				 (at.state == STOPPER_IDLE && has_more(i));
			at = settle(i, STEP_LIMIT_US);
			/* It was blocked, and has come to the stop that it was told before. */
			moved |= at.state == STOPPER_STOPPED || at.state == STOPPER_SPINS;
			busy |= at.state != STOPPER_IDLE || has_more(i);
		}
		if (busy && !moved) {
			unsigned waited = 0;

			/* Those who wait for one another, or for I/O. */
			for (int i = 0; i < ACTORS_MAX; i++)
				while (test->actors[i].used && settle(i, 0).state > STOPPER_SPINS && waited < END_LIMIT_US) {
					usleep(1000);
					waited += 1000;
				}
			if (waited >= END_LIMIT_US)
				break;
		}
	}
	return busy;
}

/* ---- drawn */

static uint64_t random_state;

static unsigned below(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 20) % n;
}

/* A probe that operations of this kind come by, and not yet so often in this one; or whichever comes then. */
static int draw_stop(int i, bool fresh, int *count)
{
	int kind = test->actors[i].operations[fresh ? begun[i] : slot_of(i)].kind, known[STOPPER_PROBES], n = 0;

	for (int probe = 0; probe < STOPPER_PROBES; probe++)
		if (learned[kind][probe] > (fresh ? 0 : hits[i][probe]))
			known[n++] = probe;
	if (n && below(3)) {
		int probe = known[below(n)], room = learned[kind][probe] - (fresh ? 0 : hits[i][probe]);

		*count = 1 + (below(2) ? 0 : below(room));
		return probe;
	}
	*count = 1 + below(below(2) ? 6 : 25);
	return STOPPER_ANY;
}

/* Says in the order of an actor where it has come to since. */
static void amend(int i, int *open)
{
	struct stopper_wait at = settle(i, 0);
	struct order *order = &test->order[open[i] < 0 ? 0 : open[i]];

	if (open[i] < 0 || at.state > STOPPER_SPINS)
		return;
	order->probe = at.state == STOPPER_IDLE ? TO_THE_END : at.probe;
	order->count = at.state == STOPPER_IDLE ? 1 : hits[i][at.probe];
	printf("{\"amend\":[%d,%d,%d]}\n", open[i], order->probe, order->count);
	open[i] = -1;
}

/* Who goes next: any of them; or, by priorities, the first. */
static int choose(const int *ready, int n, bool by_priority, const int *priority)
{
	int best = ready[0];

	if (!by_priority)
		return ready[below(n)];
	for (int i = 1; i < n; i++)
		if (priority[ready[i]] > priority[best])
			best = ready[i];
	return best;
}

/*
 * Half of the schedules choose at random at each step. The others have priorities, as PCT has: whoever has stopped gets
 * the lowest, so that all others go as far as they can while it stands there.
 */
static void draw_orders(void)
{
	bool by_priority = below(2);
	int stops = 1 + below(by_priority ? 2 : STOPS_MAX), open[ACTORS_MAX], priority[ACTORS_MAX], lowest = 0, waits = 0;

	memset(open, -1, sizeof(open));
	for (int i = 0; i < ACTORS_MAX; i++)
		priority[i] = 1 + below(1000);
	for (int step = 0; step < STEPS_MAX && waits < 5; step++) {
		int ready[ACTORS_MAX], n = 0, probe = STOPPER_NOWHERE, count = 0, i;
		struct stopper_wait at;

		for (i = 0; i < ACTORS_MAX; i++) {
			if (!test->actors[i].used)
				continue;
			amend(i, open);
			at = settle(i, 0);
			if (at.state == STOPPER_STOPPED || at.state == STOPPER_SPINS || (at.state == STOPPER_IDLE && has_more(i)))
				ready[n++] = i;
		}
		if (!n) {
			bool busy = false;

			for (i = 0; i < ACTORS_MAX; i++)
				busy |= test->actors[i].used && settle(i, 0).state > STOPPER_SPINS;
			if (!busy)
				return;
			usleep(test->blocked_us);
			waits++;
			continue;
		}
		i = choose(ready, n, by_priority, priority);
		at = settle(i, 0);
		if (stops > 0 && below(4)) {
			stops--;
			probe = draw_stop(i, at.state == STOPPER_IDLE, &count);
		}
		/* Whoever reads this knows what was under way if it is the last that this machine says. */
		printf("{\"step\":[%d,%d,%d,%d]}\n", i, at.state == STOPPER_IDLE ? begun[i] : slot_of(i), probe, count);
		go_on(i, &at, probe, count);
		open[i] = test->orders;
		test->order[test->orders++] = (struct order){ i, slot_of(i), TO_THE_END, 1 };
		if (settle(i, STEP_LIMIT_US).state == STOPPER_STOPPED)
			priority[i] = lowest--;
		settle_others(i);
	}
	for (int i = 0; i < ACTORS_MAX; i++)
		if (test->actors[i].used)
			amend(i, open);
}

/* ---- a run */

static void print_run(bool drawn)
{
	bool first = true;

	printf("{\"run\":{\"orders\":[");
	for (int n = 0; drawn && n < test->orders; n++) {
		struct order *order = &test->order[n];

		printf("%s[%d,%d,%d,%d]", n ? "," : "", order->actor, order->slot, order->probe, order->count);
	}
	printf("],\"passes\":[");
	for (unsigned n = 0; !quiet && n < passed; n++)
		printf("%s[%u,%u]", n ? "," : "", passes[n].actor, passes[n].probe);
	printf("],\"since\":[");
	for (int i = 0; i < ACTORS_MAX && !quiet; i++)
		for (int slot = 0; test->actors[i].used && slot < begun[i]; slot++) {
			printf("%s[%d,%d,%u]", first ? "" : ",", i, slot, since[i][slot]);
			first = false;
		}
	first = true;
	printf("],\"results\":[");
	for (int i = 0; i < ACTORS_MAX; i++)
		for (int slot = 0; test->actors[i].used && slot < test->actors[i].slots; slot++) {
			struct result *r = &shared->results[i][slot];
			int kind = test->actors[i].operations[slot].kind;

			if (!r->called)
				continue;
			printf("%s[%d,%d,%d,%d,%d,%d,%lld,", first ? "" : ",", i, slot, r->called, r->returned, r->error,
			       r->words, (long long)r->size);
			print_result(r, kind == LOAD || kind == READ || kind == COPY_RANGE);
			putchar(']');
			first = false;
		}
	putchar(']');
}

static void begin_run(void)
{
	for (int i = 0; i < ACTORS_MAX; i++)
		for (int slot = 0; test->actors[i].used && slot < test->actors[i].slots; slot++)
			shared->results[i][slot].called = shared->results[i][slot].returned = shared->results[i][slot].words = 0;
	memset(begun, 0, sizeof(begun));
	memset(hits, 0, sizeof(hits));
	shared->clock = 0;
	ioctl(stopper, STOPPER_EMPTY);
	passed = 0;
}

/* The closing program, and what the file holds before, after, and at the server. */
static int end_run(void)
{
	static int caches = -1;
	int fd = open(shared->file, O_RDWR), error;

	print_file("seen", shared->file, 0);
	if (all_do(CLOSE)) {
		printf("}}\n");
		text("error", "an actor hangs in close");
		return 1;
	}
	error = fsync(fd) ? errno : 0;
	if (test->drop) {
		if (caches < 0)
			caches = open("/proc/sys/vm/drop_caches", O_WRONLY);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		if (write(caches, "1", 1) != 1 && !error)
			error = errno;
	}
	print_file("content", shared->file, error);
	close(fd);
	if (strcmp(test->server, "-"))
		print_file("server", shared->server, 0);
	printf("}}\n");
	unlink(shared->file);
	return 0;
}

/* Each kind's operations that ended teach where such ones come by. */
static void learn_all(void)
{
	for (int i = 0; i < ACTORS_MAX; i++)
		if (test->actors[i].used && begun[i] && settle(i, 0).state == STOPPER_IDLE)
			learn(test->actors[i].operations[begun[i] - 1].kind, hits[i]);
}

static int run_once(bool draw)
{
	int error = find_workers();

	if (!error)
		error = make_file();
	if (error)
		return 1;
	for (int i = 0; i < ACTORS_MAX; i++)
		if (test->actors[i].used && !settles_idle(test->actors[i].worker)) {
			text("error", "an actor did not start");
			return 1;
		}
	errno = all_do(OPEN);
	if (errno)
		return failed(shared->file);
	begin_run();
	if (draw)
		draw_orders();
	for (int i = 0; !draw && i < test->orders; i++)
		follow(i);
	if (finish()) {
		for (int i = 0; i < ACTORS_MAX; i++)
			if (test->actors[i].used && settle(i, 0).state != STOPPER_IDLE)
				print_order(-1, i, slot_of(i), "stuck", -1, true);
		text("error", "an actor hangs in the kernel");
		return 1;
	}
	read_log();
	learn_all();
	print_run(draw);
	return end_run();
}

/* By the orders of the case; each is said as it is followed. */
int run_case(void)
{
	quiet = false;
	return run_once(false);
}

/* So many runs: by the orders of the case; or each by orders of its own, drawn by a seed that is not 0. */
int tries(int count, uint64_t seed)
{
	int error = 0;

	quiet = true;
	random_state = seed * 0x9e3779b97f4a7c15ull + 77;
	for (int n = 0; n < count && !error; n++) {
		if (seed)
			test->orders = 0;
		error = run_once(seed != 0);
	}
	return error;
}
