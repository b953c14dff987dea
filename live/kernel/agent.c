// SPDX-License-Identifier: GPL-2.0
// The guest's side of `mkwrite vm`: reads requests, one a line, from standard input, and answers with lines of JSON.
// The host decides everything: what is mounted, where the probes are, and what a case and its schedule are.
//
//   run COMMAND                 a shell command: {"line": TEXT} for each line of its output
//   code SYMBOL                 {"code": {"address": N, "bytes": HEX}}, of a function of the running kernel
//   name ADDRESS..              {"names": ["", "SYMBOL", ..]}, empty where no function begins
//   probe ADDRESS at|return     {"probe": N}
//   case FILE SERVER|- PAGES CELLS SIZE MMS WRITTEN INITIAL BLOCKED_US DROP     then, one a line,
//   actor N MM / op ACTOR SLOT KIND A B / order ACTOR SLOT PROBE COUNT           and
//   go                          runs the case
//
// Each request ends with {"done": STATUS}; an error is {"error": TEXT} before that, and the status is not 0. Cells have
// stamps: (actor + 1) << 11 | slot << 6 | cell, or INITIAL + cell. Each 8-byte word of a cell holds the stamp above bit
// 48 and its own number below, so that torn cells show (as -1).
//
// Actors are threads, in a process per address space; the controller is a process of its own, and so needs no lock
// that a stopped actor may hold.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stopper.h"

#define PAGE 4096
#define PAGES_MAX 8
#define CELLS_MAX 64
#define SLOTS_MAX 32
#define ORDERS_MAX 512
#define STEP_LIMIT_US 3000000
#define END_LIMIT_US 10000000
#define ERROR_SIGBUS 1001
#define ERROR_SIGSEGV 1002

/* Orders that are no stop. */
#define TO_THE_END (-1)		/* until the slot is done, or the actor is blocked */
#define BEFORE_IT (-2)		/* in user space, the slot not begun */

struct operation { char kind[16]; int a, b; };
struct result { int called, returned, error, done; int64_t values[CELLS_MAX], size; };
struct actor {
	bool used;
	int mm, slots;
	struct operation operations[SLOTS_MAX];
	/* What follows is shared with the actor's process. */
	struct result results[SLOTS_MAX];
	_Atomic int thread, slot, begun;	/* the slot to run next; how many slots it has begun */
	unsigned passed;			/* how much of the log was written when the slot began */
	_Atomic bool quit;
};
struct order { int actor, slot, probe, count; };
struct test {
	char file[128], server[128];
	int pages, cells, size, mms, drop, orders;
	unsigned blocked_us;
	uint64_t written;
	int64_t initial;
	struct order order[ORDERS_MAX];
	struct actor actors[STOPPER_ACTORS];
	_Atomic int clock;
};

static struct test *test;
static int stopper = -1;
static pid_t processes[STOPPER_ACTORS];

/* ---- answers */

static void text(const char *key, const char *value)
{
	printf("{\"%s\":\"", key);
	for (; *value; value++)
		if (*value == '"' || *value == '\\')
			printf("\\%c", *value);
		else if ((unsigned char)*value < ' ')
			printf("\\u%04x", *value);
		else
			putchar(*value);
	printf("\"}\n");
}

static int failed(const char *what)
{
	char line[256];

	snprintf(line, sizeof(line), "%s: %s", what, strerror(errno));
	text("error", line);
	return 1;
}

static void numbers(const char *key, const int64_t *values, int n)
{
	printf(",\"%s\":[", key);
	for (int i = 0; i < n; i++)
		printf("%s%lld", i ? "," : "", (long long)values[i]);
	putchar(']');
}

/* ---- run, code, name, probe */

static int run(const char *command)
{
	char line[1024];
	FILE *pipe = popen(command, "r");
	int status;

	if (!pipe)
		return failed("popen");
	while (fgets(line, sizeof(line), pipe)) {
		line[strcspn(line, "\n")] = 0;
		text("line", line);
	}
	status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static struct symbol { uint64_t address; char *name; bool code; } *symbols;
static size_t symbol_count;

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

/* All of them, sorted by address. Again whenever modules may have come. */
static int load_symbols(void)
{
	char line[512], name[256], type;
	unsigned long long address;
	size_t room = 0;
	FILE *file = fopen("/proc/kallsyms", "r");

	if (!file)
		return failed("/proc/kallsyms");
	for (size_t i = 0; i < symbol_count; i++)
		free(symbols[i].name);
	symbol_count = 0;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%llx %c %255s", &address, &type, name) != 3)
			continue;
		if (symbol_count == room) {
			room = room ? 2 * room : 1 << 18;
			symbols = realloc(symbols, room * sizeof(*symbols));
		}
		symbols[symbol_count++] = (struct symbol){ address, strdup(name), type == 't' || type == 'T' || type == 'W' };
	}
	fclose(file);
	qsort(symbols, symbol_count, sizeof(*symbols), by_address);
	return 0;
}

/* Kernel text, through /proc/kcore: an ELF file with one program header per range of addresses. */
static int read_kernel(uint64_t address, uint8_t *bytes, size_t n)
{
	struct { uint32_t type, flags; uint64_t offset, address, physical, file_size, size, align; } range;
	uint64_t table;
	uint16_t count;
	int core = open("/proc/kcore", O_RDONLY);

	if (core < 0)
		return -1;
	if (pread(core, &table, 8, 32) != 8 || pread(core, &count, 2, 56) != 2)
		count = 0;
	for (int i = 0; i < count; i++) {
		if (pread(core, &range, sizeof(range), table + i * sizeof(range)) != sizeof(range))
			break;
		if (address < range.address || address + n > range.address + range.size)
			continue;
		n -= pread(core, bytes, n, range.offset + (address - range.address));
		close(core);
		return n ? -1 : 0;
	}
	close(core);
	return -1;
}

/* The name of a function, whatever the compiler made of it. */
static bool is_called(const char *symbol, const char *name)
{
	size_t n = strlen(name);

	return !strncmp(symbol, name, n) && (!symbol[n] || (symbol[n] == '.' && !strstr(symbol + n, ".cold")));
}

static int code(const char *name)
{
	static uint8_t bytes[1 << 14];

	for (size_t i = 0; i < symbol_count; i++) {
		uint64_t address = symbols[i].address, n = sizeof(bytes);
		size_t next = i + 1;

		if (!symbols[i].code || !is_called(symbols[i].name, name))
			continue;
		while (next < symbol_count && symbols[next].address == address)
			next++;
		if (next < symbol_count && symbols[next].address - address < n)
			n = symbols[next].address - address;
		if (read_kernel(address, bytes, n))
			return failed("/proc/kcore");
		printf("{\"code\":{\"address\":%llu,\"bytes\":\"", (unsigned long long)address);
		for (uint64_t b = 0; b < n; b++)
			printf("%02x", bytes[b]);
		printf("\"}}\n");
		return 0;
	}
	text("error", "no such function");
	return 1;
}

static int name(char *list)
{
	char *end = list;

	printf("{\"names\":[");
	for (int n = 0; *end; n++) {
		struct symbol key = { strtoull(list, &end, 0), NULL, true }, *found;

		if (end == list)
			break;
		found = bsearch(&key, symbols, symbol_count, sizeof(key), by_address);
		while (found && found > symbols && found[-1].address == key.address)
			found--;
		while (found && !found->code && found + 1 < symbols + symbol_count && found[1].address == key.address)
			found++;
		printf("%s\"%s\"", n ? "," : "", found ? found->name : "");
		list = end;
	}
	printf("]}\n");
	return 0;
}

static int probe(uint64_t address, const char *kind)
{
	struct stopper_probe io = { .address = address, .kind = strcmp(kind, "return") ? STOPPER_AT : STOPPER_RETURN };

	if (ioctl(stopper, STOPPER_ADD, &io))
		return failed("probe");
	printf("{\"probe\":%d}\n", io.number);
	return 0;
}

/* ---- actors */

static __thread sigjmp_buf fault;
static __thread volatile sig_atomic_t may_fault;

static void on_fault(int signal)
{
	if (!may_fault)
		_exit(9);
	siglongjmp(fault, signal == SIGBUS ? ERROR_SIGBUS : ERROR_SIGSEGV);
}

static int cell_bytes(void)
{
	return PAGE / test->cells;
}

static uint64_t word(int64_t stamp, int n)
{
	return (uint64_t)stamp << 48 | (stamp ? n + 1 : 0);
}

static void fill(char *at, int64_t stamp)
{
	for (int n = 0; n < cell_bytes() / 8; n++)
		((volatile uint64_t *)at)[n] = word(stamp, n);
}

/* The stamp of a cell, or -1 if its words do not belong together. */
static int64_t stamp_in(const char *at)
{
	int64_t stamp = ((const volatile uint64_t *)at)[0] >> 48;

	for (int n = 0; n < cell_bytes() / 8; n++)
		if (((const volatile uint64_t *)at)[n] != word(stamp, n))
			return -1;
	return stamp;
}

static int64_t stamp_of(int actor, int slot, int cell)
{
	return (int64_t)(actor + 1) << 11 | slot << 6 | cell;
}

/* Asking for times, as fstat does, would make NFS write back. */
static int64_t size_of(int fd)
{
	struct statx got = { .stx_size = 0 };

	statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_SIZE, &got);
	return got.stx_size;
}

/* Page by page, as the model does: a fault ends it, and the cells of the pages before are done. */
static int access_cells(char *base, struct operation *op, bool store, int actor, int slot, struct result *result)
{
	for (volatile int page = op->a / test->cells; page * test->cells < op->b; page++) {
		int from = page * test->cells < op->a ? op->a : page * test->cells;
		int to = (page + 1) * test->cells < op->b ? (page + 1) * test->cells : op->b;
		int error = sigsetjmp(fault, 1);

		if (!error) {
			may_fault = 1;
			for (int cell = from; cell < to; cell++)
				if (store)
					fill(base + cell * cell_bytes(), stamp_of(actor, slot, cell));
				else
					result->values[cell - op->a] = stamp_in(base + cell * cell_bytes());
		}
		may_fault = 0;
		if (error)
			return error;
		result->done += to - from;
	}
	return 0;
}

static __thread char buffer[PAGES_MAX * PAGE];

static int transfer(int fd, struct operation *op, bool is_write, int actor, int slot, struct result *result)
{
	size_t bytes = (op->b - op->a) * cell_bytes();
	off_t at = op->a * cell_bytes();
	ssize_t n;

	for (int cell = op->a; is_write && cell < op->b; cell++)
		fill(buffer + (cell - op->a) * cell_bytes(), stamp_of(actor, slot, cell));
	n = is_write ? pwrite(fd, buffer, bytes, at) : pread(fd, buffer, bytes, at);
	if (n < 0)
		return errno;
	result->done = n / cell_bytes();
	for (int cell = 0; !is_write && cell < result->done; cell++)
		result->values[cell] = stamp_in(buffer + cell * cell_bytes());
	return 0;
}

static int perform(int fd, char *base, struct operation *op, int actor, int slot, struct result *result)
{
	off_t from = (off_t)op->a * PAGE, bytes = (off_t)(op->b - op->a) * PAGE, all = (off_t)test->pages * PAGE;
	const int integrity = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
	const char *kind = op->kind;
	int failure = 0;

	if (!strcmp(kind, "store") || !strcmp(kind, "load"))
		return access_cells(base, op, *kind == 's', actor, slot, result);
	if (!strcmp(kind, "read") || !strcmp(kind, "write"))
		return transfer(fd, op, *kind == 'w', actor, slot, result);
	if (!strcmp(kind, "truncate"))
		failure = ftruncate(fd, op->a * cell_bytes());
	else if (!strcmp(kind, "writeback"))
		failure = sync_file_range(fd, from, bytes, SYNC_FILE_RANGE_WRITE);
	else if (!strcmp(kind, "sync_range"))
		failure = sync_file_range(fd, from, bytes, integrity);
	else if (!strcmp(kind, "fsync"))
		failure = fsync(fd);
	else if (!strcmp(kind, "msync"))
		failure = msync(base, all, MS_SYNC);
	else if (!strcmp(kind, "invalidate"))
		return posix_fadvise(fd, from, bytes, POSIX_FADV_DONTNEED);
	else if (!strcmp(kind, "invalidate2")) {
		failure = sync_file_range(fd, from, bytes, integrity) || madvise(base + from, bytes, MADV_DONTNEED);
		posix_fadvise(fd, from, bytes, POSIX_FADV_DONTNEED);
	} else if (!strcmp(kind, "reclaim"))
		failure = madvise(base + from, bytes, MADV_PAGEOUT);
	else if (!strcmp(kind, "munmap"))
		failure = mmap(base, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED;
	else if (!strcmp(kind, "mmap"))
		failure = mmap(base, all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED;
	else
		return EINVAL;
	return failure ? errno : 0;
}

struct context { int actor, fd; char *base; };

static void *actor_thread(void *argument)
{
	struct context *context = argument;
	struct actor *actor = &test->actors[context->actor];
	volatile char stack[4 * PAGE];
	cpu_set_t cpus;

	/* Faults of our own would come by the same places: have them now. */
	for (size_t i = 0; i < sizeof(stack); i += PAGE)
		stack[i] = 0;
	memset(buffer, 0, sizeof(buffer));
	/* One that spins must not keep the controller, or another, off the CPU. */
	CPU_ZERO(&cpus);
	CPU_SET((context->actor + 1) % sysconf(_SC_NPROCESSORS_ONLN), &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	actor->thread = gettid();
	for (;;) {
		int slot;
		struct result *result;

		if (ioctl(stopper, STOPPER_REST, &context->actor))
			_exit(8);
		if (actor->quit)
			return NULL;
		slot = actor->slot;
		result = &actor->results[slot];
		result->called = ++test->clock;
		result->error = perform(context->fd, context->base, &actor->operations[slot], context->actor, slot, result);
		result->size = size_of(context->fd);
		result->returned = ++test->clock;
	}
}

static void address_space(int mm)
{
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
	struct context contexts[STOPPER_ACTORS];
	pthread_t threads[STOPPER_ACTORS];
	int n = 0, fd = open(test->file, O_RDWR);
	char *base;

	/* Faults on what we share with the controller would come by the same places: have them now. */
	mlock(test, sizeof(*test));
	base = mmap(NULL, test->pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		_exit(7);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	for (int i = 0; i < STOPPER_ACTORS; i++)
		if (test->actors[i].used && test->actors[i].mm == mm) {
			contexts[n] = (struct context){ i, fd, base };
			pthread_create(&threads[n], NULL, actor_thread, &contexts[n]);
			n++;
		}
	while (n)
		pthread_join(threads[--n], NULL);
	_exit(0);
}

/* ---- the controller */

static void go_on(int actor, int probe, int count, bool keep)
{
	struct stopper_go io = { actor, probe, count, keep };

	ioctl(stopper, STOPPER_GO, &io);
}

static struct stopper_wait settle(int actor, unsigned limit_us)
{
	struct stopper_wait io = { .actor = actor, .blocked_us = test->blocked_us, .limit_us = limit_us };

	ioctl(stopper, STOPPER_WAIT, &io);
	return io;
}

/* How much of the log there is from a place on; and how often an actor came by a probe since then. */
static unsigned passes_since(unsigned from, int actor, int probe, int *hits)
{
	struct stopper_passes io = { .from = from };

	*hits = 0;
	while (!ioctl(stopper, STOPPER_PASSES, &io) && io.count) {
		for (unsigned i = 0; i < io.count; i++)
			*hits += io.pass[i].actor == (unsigned)actor && io.pass[i].probe == (unsigned)probe;
		io.from += io.count;
	}
	return io.from;
}

/* Lets an actor that rests begin its next slot. */
static void begin(int i, int probe, int count)
{
	struct actor *actor = &test->actors[i];
	int unused;

	while (actor->begun < actor->slots && !actor->operations[actor->begun].kind[0])
		actor->begun++;
	if (actor->begun >= actor->slots)
		return;
	actor->passed = passes_since(actor->passed, i, 0, &unused);
	actor->slot = actor->begun++;
	go_on(i, probe, count, false);
}

static void print_stack(int i)
{
	char path[64], line[256];
	bool first = true;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stack", processes[test->actors[i].mm], test->actors[i].thread);
	file = fopen(path, "r");
	printf(",\"stack\":[");
	while (file && fgets(line, sizeof(line), file)) {
		char function[128];

		if (sscanf(line, "[<%*[^>]>] %127[^+ \n]", function) != 1)
			continue;
		printf("%s\"%s\"", first ? "" : ",", function);
		first = false;
	}
	putchar(']');
	if (file)
		fclose(file);
}

static const char *const states[] = { "finished", "stopped", "spins", "blocked", "runs" };

static void print_order(int number, int actor, int slot, const char *how, int probe, bool stack)
{
	printf("{\"order\":{\"number\":%d,\"actor\":%d,\"slot\":%d,\"how\":\"%s\",\"probe\":%d", number, actor, slot, how, probe);
	if (stack)
		print_stack(actor);
	printf("}}\n");
}

/* Runs an actor until it stands where the order says; slots before that one run to their end first. */
static void follow(int number)
{
	struct order *order = &test->order[number];
	struct actor *actor = &test->actors[order->actor];

	for (;;) {
		struct stopper_wait at = settle(order->actor, 0);
		bool idle = at.state == STOPPER_IDLE;
		int slot = idle ? actor->begun : actor->slot;
		bool own = slot == order->slot;
		int probe = own ? order->probe : TO_THE_END, hits = 0;

		if (slot > order->slot || (idle && slot >= actor->slots)) {
			print_order(number, order->actor, order->slot, order->probe == TO_THE_END ? "finished" : "missed", -1, false);
			return;
		}
		if (idle && own && probe == BEFORE_IT) {
			print_order(number, order->actor, slot, "stopped", probe, false);
			return;
		}
		if (own && !idle && probe >= 0)
			passes_since(actor->passed, order->actor, probe, &hits);
		/* Two points of the model may be one place in the kernel. */
		if (hits && hits == order->count && at.probe == probe) {
			print_order(number, order->actor, slot, "stopped", probe, false);
			return;
		}
		if (idle)
			begin(order->actor, probe >= 0 ? probe : STOPPER_NOWHERE, order->count);
		else
			go_on(order->actor, probe >= 0 ? probe : STOPPER_NOWHERE, order->count - hits,
			      at.state == STOPPER_BLOCKED);
		at = settle(order->actor, STEP_LIMIT_US);
		if (own || at.state != STOPPER_IDLE) {
			bool missed = own && probe >= 0 && at.state == STOPPER_IDLE;

			print_order(number, order->actor, slot, missed ? "missed" : states[at.state], at.probe,
				    at.state == STOPPER_BLOCKED || at.state == STOPPER_RUNS);
			return;
		}
	}
}

/* After the last order: everybody to the end, the lowest first. Returns whether somebody did not get there. */
static bool finish(void)
{
	bool busy = true;

	for (int round = 0; busy && round < 2 * STOPPER_ACTORS * SLOTS_MAX; round++) {
		bool moved = false;

		busy = false;
		for (int i = 0; i < STOPPER_ACTORS; i++) {
			struct actor *actor = &test->actors[i];
			struct stopper_wait at;

			if (!actor->used)
				continue;
			at = settle(i, 0);
			if (at.state == STOPPER_IDLE && actor->begun < actor->slots) {
				begin(i, STOPPER_NOWHERE, 0);
				moved = true;
			} else if (at.state == STOPPER_STOPPED || at.state == STOPPER_SPINS) {
				go_on(i, STOPPER_NOWHERE, 0, false);
				moved = true;
			} else if (at.state == STOPPER_BLOCKED) {
				go_on(i, STOPPER_NOWHERE, 0, true);
			}
			at = settle(i, STEP_LIMIT_US);
			/* It was blocked, and has come to the stop that it was told before. */
			moved |= at.state == STOPPER_STOPPED || at.state == STOPPER_SPINS;
			busy |= at.state != STOPPER_IDLE || actor->begun < actor->slots;
		}
		if (busy && !moved) {
			unsigned waited = 0;

			/* Those who wait for one another, or for I/O. */
			for (int i = 0; i < STOPPER_ACTORS; i++)
				while (test->actors[i].used && settle(i, 0).state != STOPPER_IDLE && waited < END_LIMIT_US) {
					usleep(10000);
					waited += 10000;
				}
			if (waited >= END_LIMIT_US)
				break;
		}
	}
	return busy;
}

static void print_results(void)
{
	for (int i = 0; i < STOPPER_ACTORS; i++)
		for (int slot = 0; slot < test->actors[i].slots; slot++) {
			struct result *r = &test->actors[i].results[slot];
			bool loads = !strcmp(test->actors[i].operations[slot].kind, "load") ||
				     !strcmp(test->actors[i].operations[slot].kind, "read");

			if (!r->called)
				continue;
			printf("{\"result\":{\"actor\":%d,\"slot\":%d,\"called\":%d,\"returned\":%d,\"error\":%d,\"done\":%d,\"size\":%lld",
			       i, slot, r->called, r->returned, r->error, r->done, (long long)r->size);
			numbers("values", r->values, loads ? r->done : 0);
			printf("}}\n");
		}
}

/* Which probes each actor came by, in order. */
static void print_passes(void)
{
	struct stopper_passes io = { .from = 0 };
	bool first = true;

	printf("{\"passes\":[");
	while (!ioctl(stopper, STOPPER_PASSES, &io) && io.count) {
		for (unsigned i = 0; i < io.count; i++, first = false)
			printf("%s[%u,%u]", first ? "" : ",", io.pass[i].actor, io.pass[i].probe);
		io.from += io.count;
	}
	printf("]}\n");
}

static void print_file(const char *which, const char *path, int sync)
{
	static char buffer[PAGES_MAX * PAGE];
	int64_t values[CELLS_MAX];
	int cells = test->pages * test->cells, n, error = 0, fd = open(path, O_RDWR);
	ssize_t bytes;

	if (fd < 0) {
		failed(path);
		return;
	}
	memset(buffer, 0, sizeof(buffer));
	if (sync) {
		error = fsync(fd) ? errno : 0;
		if (test->drop) {
			int caches = open("/proc/sys/vm/drop_caches", O_WRONLY);

			posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
			if (caches >= 0 && write(caches, "1", 1) == 1)
				close(caches);
		}
	}
	bytes = pread(fd, buffer, sizeof(buffer), 0);
	n = bytes < 0 ? 0 : (bytes + cell_bytes() - 1) / cell_bytes();
	for (int cell = 0; cell < n && cell < cells; cell++)
		values[cell] = stamp_in(buffer + cell * cell_bytes());
	printf("{\"%s\":{\"error\":%d,\"size\":%lld", which, error, (long long)size_of(fd));
	numbers("cells", values, n < cells ? n : cells);
	printf("}}\n");
	close(fd);
}

static int make_file(void)
{
	static char buffer[PAGE];
	int fd = open(test->file, O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || ftruncate(fd, test->size * cell_bytes()))
		return failed(test->file);
	for (int cell = 0; cell < test->size; cell++) {
		if (!(test->written >> cell & 1))
			continue;
		fill(buffer, test->initial + cell);
		if (pwrite(fd, buffer, cell_bytes(), cell * cell_bytes()) != cell_bytes())
			return failed(test->file);
	}
	if (fsync(fd))
		return failed("fsync");
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	return 0;
}

/* Returns whether all have gone. One that hangs in the kernel cannot be killed; then this machine is of no use. */
static bool stop_processes(void)
{
	for (int i = 0; i < STOPPER_ACTORS; i++)
		test->actors[i].quit = true;
	for (int tries = 0, mm = 0; mm < test->mms; tries++) {
		if (processes[mm] <= 0 || waitpid(processes[mm], NULL, WNOHANG) > 0) {
			mm++;
			continue;
		}
		for (int i = 0; i < STOPPER_ACTORS; i++) {
			int state = test->actors[i].used ? settle(i, 0).state : STOPPER_RUNS;

			if (state == STOPPER_IDLE)
				go_on(i, STOPPER_LEAVE, 0, false);
			else if (state == STOPPER_STOPPED || state == STOPPER_SPINS)
				go_on(i, STOPPER_NOWHERE, 0, false);
		}
		if (tries == 500)
			kill(processes[mm], SIGKILL);
		if (tries > 1000)
			return false;
		usleep(tries < 50 ? 200 : 10000);
	}
	return true;
}

static int run_case(void)
{
	bool stuck;

	ioctl(stopper, STOPPER_RESET);
	if (make_file())
		return 1;
	for (int mm = 0; mm < test->mms; mm++) {
		processes[mm] = fork();
		if (!processes[mm])
			address_space(mm);
	}
	for (int i = 0; i < STOPPER_ACTORS; i++)
		for (int tries = 0; test->actors[i].used && settle(i, STEP_LIMIT_US).state != STOPPER_IDLE; tries++) {
			if (tries == 1000) {
				text("error", "an actor did not start");
				return 1;
			}
			usleep(5000);
		}
	for (int i = 0; i < test->orders; i++)
		follow(i);
	stuck = finish();
	for (int i = 0; stuck && i < STOPPER_ACTORS; i++)
		if (test->actors[i].used && settle(i, 0).state != STOPPER_IDLE)
			print_order(-1, i, test->actors[i].slot, "stuck", -1, true);
	print_results();
	print_passes();
	if (!stop_processes()) {
		for (int i = 0; i < STOPPER_ACTORS; i++)
			if (test->actors[i].used)
				print_order(-1, i, test->actors[i].slot, "stuck", -1, true);
		text("error", "an actor hangs in the kernel");
		return 1;
	}
	print_file("content", test->file, 1);
	if (test->server[0])
		print_file("server", test->server, 0);
	unlink(test->file);
	return 0;
}

/* ---- requests */

static int new_case(const char *line)
{
	char server[128];
	unsigned long long written;
	long long initial;

	memset(test, 0, sizeof(*test));
	if (sscanf(line, "%127s %127s %d %d %d %d %llx %lld %u %d", test->file, server, &test->pages, &test->cells, &test->size,
		   &test->mms, &written, &initial, &test->blocked_us, &test->drop) != 10 ||
	    test->pages < 1 || test->pages > PAGES_MAX || test->cells < 1 || test->cells > 8 ||
	    test->mms < 1 || test->mms > STOPPER_ACTORS) {
		text("error", "not a case");
		return 1;
	}
	if (strcmp(server, "-"))
		strcpy(test->server, server);
	test->written = written;
	test->initial = initial;
	return 0;
}

static int add_to_case(const char *line)
{
	int actor, slot, a, b, probe;
	char kind[16];

	if (sscanf(line, "actor %d %d", &actor, &a) == 2 && actor >= 0 && actor < STOPPER_ACTORS) {
		test->actors[actor].used = true;
		test->actors[actor].mm = a;
		return 0;
	}
	if (sscanf(line, "op %d %d %15s %d %d", &actor, &slot, kind, &a, &b) == 5 &&
	    actor >= 0 && actor < STOPPER_ACTORS && slot >= 0 && slot < SLOTS_MAX) {
		struct operation *op = &test->actors[actor].operations[slot];

		strcpy(op->kind, kind);
		op->a = a;
		op->b = b;
		if (slot >= test->actors[actor].slots)
			test->actors[actor].slots = slot + 1;
		return 0;
	}
	if (sscanf(line, "order %d %d %d %d", &actor, &slot, &probe, &a) == 4 &&
	    actor >= 0 && actor < STOPPER_ACTORS && test->orders < ORDERS_MAX) {
		test->order[test->orders++] = (struct order){ actor, slot, probe, a };
		return 0;
	}
	text("error", "not a request");
	return 1;
}

static int serve(char *line)
{
	unsigned long long address;
	char kind[16];

	if (!strncmp(line, "run ", 4))
		return run(line + 4);
	if (!strcmp(line, "symbols"))
		return load_symbols();
	if (!strncmp(line, "code ", 5))
		return code(line + 5);
	if (!strncmp(line, "name ", 5))
		return name(line + 5);
	if (!strcmp(line, "stopper")) {
		stopper = open("/dev/mkwrite_stopper", O_RDWR);
		return stopper < 0 ? failed("/dev/mkwrite_stopper") : 0;
	}
	if (sscanf(line, "probe %llu %15s", &address, kind) == 2)
		return probe(address, kind);
	if (!strncmp(line, "case ", 5))
		return new_case(line + 5);
	if (!strcmp(line, "go"))
		return run_case();
	return add_to_case(line);
}

int main(void)
{
	static char line[4096];

	setvbuf(stdout, NULL, _IOLBF, 1 << 16);
	test = mmap(NULL, sizeof(*test), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (test == MAP_FAILED)
		return failed("mmap");
	printf("{\"up\":1}\n");
	while (fgets(line, sizeof(line), stdin)) {
		int status;

		line[strcspn(line, "\r\n")] = 0;
		if (!*line)
			continue;
		if (!strcmp(line, "end"))
			break;
		status = serve(line);
		fflush(stdout);
		printf("{\"done\":%d}\n", status);
	}
	return 0;
}
