// SPDX-License-Identifier: GPL-2.0
// What actors do: operations on the file of a run, by threads that live longer than a run, in a process per address
// space; and the file before and after it.
//
// Cells have stamps: (actor + 1) << 11 | slot << 6 | cell, or what the request says for the initial content plus the
// cell. Each word of 8 bytes holds the stamp above bit 48, the number of the run, and its own place in the cell below
// bit 16, so that torn cells, data of another run and data at the wrong place show.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "agent.h"

const char *const kinds[KINDS] = {
	"-", "store", "load", "read", "write", "truncate", "writeback", "sync_range", "fsync", "msync", "invalidate",
	"invalidate2", "reclaim", "munmap", "mmap", "copy_range", "punch", "zero_range", "prealloc", "fallocate", "freeze",
	"write_mapped", "pin", "mremap", "mprotect",
};

/* ---- words */

static int cell_bytes(void)
{
	return PAGE / test->cells;
}

static uint16_t stamp_of(int actor, int slot, int cell)
{
	return (actor + 1) << 11 | slot << 6 | cell;
}

static uint64_t word(uint16_t stamp, int place)
{
	return (uint64_t)stamp << 48 | (uint64_t)shared->run << 16 | place;
}

static uint16_t stamp_in(uint64_t found, int place)
{
	uint16_t stamp = found >> 48;

	return !found ? 0 : stamp && found == word(stamp, place) ? stamp : ALIEN;
}

static void fill(uint64_t *at, uint16_t stamp)
{
	for (int n = 0; n < cell_bytes() / 8; n++)
		at[n] = word(stamp, n);
}

/* Asking for times, as fstat does, would make NFS write back. */
static int64_t size_of(int fd)
{
	struct statx got = { .stx_size = 0 };

	statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_SIZE, &got);
	return got.stx_size;
}

/* ---- operations */

/* Of the process of an address space. */
static int file = -1;
static char *base;
static _Atomic bool mapped;

static __thread sigjmp_buf fault;
static __thread volatile sig_atomic_t may_fault;
static __thread uint64_t buffer[WORDS_MAX];

static void on_fault(int signal)
{
	if (!may_fault)
		_exit(9);
	siglongjmp(fault, signal == SIGBUS ? ERROR_SIGBUS : ERROR_SIGSEGV);
}

/* Word by word: a fault ends it, and the words before are done. */
static int access_cells(const struct operation *op, int actor, int slot, struct result *result)
{
	volatile uint64_t *words = (volatile uint64_t *)base;
	const int in_cell = cell_bytes() / 8, from = op->a * in_cell, to = op->b * in_cell;
	int error = sigsetjmp(fault, 1);

	if (!error) {
		may_fault = 1;
		for (volatile int n = from; n < to; n++) {
			if (op->kind == STORE)
				words[n] = word(stamp_of(actor, slot, n / in_cell), n % in_cell);
			else
				result->values[n - from] = stamp_in(words[n], n % in_cell);
			*(volatile int *)&result->words = n + 1 - from;
		}
	}
	may_fault = 0;
	return error;
}

/* process_vm_writev pins each page, copies, and marks it dirty, as a driver does. */
static int pin_cells(const struct operation *op, int actor, int slot, struct result *result)
{
	const int in_page = PAGE / cell_bytes();

	for (int a = op->a, b; a < op->b; a = b) {
		size_t bytes;
		struct iovec local, remote;

		b = (a / in_page + 1) * in_page < op->b ? (a / in_page + 1) * in_page : op->b;
		bytes = (size_t)(b - a) * cell_bytes();
		for (int cell = a; cell < b; cell++)
			fill(buffer + (cell - a) * cell_bytes() / 8, stamp_of(actor, slot, cell));
		local = (struct iovec){ buffer, bytes };
		remote = (struct iovec){ base + a * cell_bytes(), bytes };
		if (process_vm_writev(getpid(), &local, 1, &remote, 1, 0) < 0)
			return errno;
		result->words += bytes / 8;
	}
	return 0;
}

static int transfer(const struct operation *op, int actor, int slot, struct result *result)
{
	const int in_cell = cell_bytes() / 8;
	size_t bytes = (op->b - op->a) * cell_bytes();
	off_t at = op->a * cell_bytes();
	ssize_t n;

	for (int cell = op->a; op->kind == WRITE && cell < op->b; cell++)
		fill(buffer + (cell - op->a) * in_cell, stamp_of(actor, slot, cell));
	n = op->kind == WRITE ? pwrite(file, buffer, bytes, at) : pread(file, buffer, bytes, at);
	if (n < 0)
		return errno;
	result->words = n / 8;
	for (int i = 0; op->kind == READ && i < result->words; i++)
		result->values[i] = stamp_in(buffer[i], i % in_cell);
	return 0;
}

/* pread and pwrite with the checks of copy_file_range: that would copy the marks that tell one write from another. */
static int copy_range(const struct operation *op, int actor, int slot, struct result *result)
{
	const int in_cell = cell_bytes() / 8;
	int size = size_of(file) / cell_bytes(), from = op->a, end = from + op->d - op->c, length;
	ssize_t n;

	end = end < op->b ? end : op->b;
	end = end < size ? end : size;
	length = end - from;
	if (length <= 0)
		return 0;
	if (from < op->c + length && op->c < end)
		return EINVAL;
	n = pread(file, buffer, (size_t)length * cell_bytes(), (off_t)from * cell_bytes());
	if (n <= 0)
		return n ? errno : 0;
	for (int i = 0; i < n / 8; i++)
		result->values[i] = stamp_in(buffer[i], i % in_cell);
	for (int cell = 0; cell < n / cell_bytes(); cell++)
		fill(buffer + cell * in_cell, stamp_of(actor, slot, op->c + cell));
	n = pwrite(file, buffer, n, (off_t)op->c * cell_bytes());
	if (n < 0)
		return errno;
	result->words = n / 8;
	return 0;
}

/* Page by page the buffer is touched; what is written is another one, because the mapping has other marks. */
static int write_mapped(const struct operation *op, int actor, int slot, struct result *result)
{
	const int in_page = PAGE / cell_bytes(), in_cell = cell_bytes() / 8;
	const int length = op->b - op->a < op->d - op->c ? op->b - op->a : op->d - op->c;
	int done = 0, failure = 0;

	while (!failure && done < length) {
		const int to = op->c + done, rest = in_page - to % in_page;
		const int n = rest < length - done ? rest : length - done;
		const struct operation touch = { LOAD, op->a + done, op->a + done + n, 0, 0 };
		const struct operation put = { WRITE, to, to + n, 0, 0 };

		failure = access_cells(&touch, actor, slot, result) ? EFAULT : 0;
		result->words = 0;
		if (!failure)
			failure = transfer(&put, actor, slot, result);
		done += result->words / in_cell;
		if (result->words < n * in_cell)
			break;
	}
	result->words = done * in_cell;
	return failure;
}

static int map(bool accessible)
{
	size_t all = (size_t)test->pages * PAGE;
	void *at = accessible ? mmap(base, all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0)
			      : mmap(base, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (at != MAP_FAILED)
		mapped = accessible;
	return at == MAP_FAILED;
}

static int protect(int protection)
{
	return mprotect(base, (size_t)test->pages * PAGE, protection);
}

static int allocate(const struct operation *op, int mode)
{
	return fallocate(file, mode, (off_t)op->a * cell_bytes(), (off_t)(op->b - op->a) * cell_bytes());
}

static int perform(const struct operation *op, int actor, int slot, struct result *result)
{
	off_t from = (off_t)op->a * PAGE, bytes = (off_t)(op->b - op->a) * PAGE;
	const int integrity = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
	int failure = 0;

	switch (op->kind) {
	case STORE:
	case LOAD:
		return access_cells(op, actor, slot, result);
	case PIN:
		return pin_cells(op, actor, slot, result);
	case READ:
	case WRITE:
		return transfer(op, actor, slot, result);
	case COPY_RANGE:
		return copy_range(op, actor, slot, result);
	case WRITE_MAPPED:
		return write_mapped(op, actor, slot, result);
	case TRUNCATE:
		failure = ftruncate(file, op->a * cell_bytes());
		break;
	case PUNCH:
		failure = allocate(op, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
		break;
	case ZERO_RANGE:
		failure = allocate(op, FALLOC_FL_ZERO_RANGE);
		break;
	case PREALLOC:
		failure = allocate(op, FALLOC_FL_KEEP_SIZE);
		break;
	case FALLOCATE:
		failure = allocate(op, 0);
		break;
	case FREEZE:
		failure = ioctl(file, FIFREEZE, 0);
		if (!failure)
			failure = ioctl(file, FITHAW, 0);
		break;
	case MREMAP:	/* nothing: other threads would find no mapping at the old address */
		return mapped ? 0 : EFAULT;
	case MPROTECT:
		if (!mapped)
			return ENOMEM;
		failure = protect(PROT_READ);
		if (!failure)
			failure = protect(PROT_READ | PROT_WRITE);
		break;
	case WRITEBACK:
		failure = sync_file_range(file, from, bytes, SYNC_FILE_RANGE_WRITE);
		break;
	case SYNC_RANGE:
		failure = sync_file_range(file, from, bytes, integrity);
		break;
	case FSYNC:
		failure = fsync(file);
		break;
	case MSYNC:
		failure = msync(base, (size_t)test->pages * PAGE, MS_SYNC);
		break;
	case INVALIDATE:
		return posix_fadvise(file, from, bytes, POSIX_FADV_DONTNEED);
	case INVALIDATE2:
		failure = sync_file_range(file, from, bytes, integrity) || madvise(base + from, bytes, MADV_DONTNEED);
		posix_fadvise(file, from, bytes, POSIX_FADV_DONTNEED);
		break;
	case RECLAIM:
		failure = madvise(base + from, bytes, MADV_PAGEOUT);
		break;
	case MUNMAP:
		failure = map(false);
		break;
	case MMAP:
		failure = map(true);
		break;
	}
	return failure ? errno : 0;
}

/* ---- workers */

static void work(struct worker *me)
{
	struct result *result = &shared->results[me->actor][me->slot];

	switch (me->job) {
	case OPEN:
		file = open(shared->file, O_RDWR);
		me->error = file < 0 || map(true) ? errno : 0;
		break;
	case CLOSE:
		map(false);
		close(file);
		break;
	case RUN:
		result->called = ++shared->clock;
		result->error = perform(&test->actors[me->actor].operations[me->slot], me->actor, me->slot, result);
		result->size = size_of(file);
		result->returned = ++shared->clock;
		break;
	}
}

static void *thread(void *argument)
{
	struct worker *me = argument;
	int number = me - shared->worker;
	volatile char stack[4 * PAGE];
	cpu_set_t cpus;

	/* Faults of our own would come by the same places: have them now. */
	for (size_t i = 0; i < sizeof(stack); i += PAGE)
		stack[i] = 0;
	memset(buffer, 0, sizeof(buffer));
	/* One that spins must not keep the controller, or another, off the CPU. */
	CPU_ZERO(&cpus);
	CPU_SET((number + 1) % sysconf(_SC_NPROCESSORS_ONLN), &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	me->thread = gettid();
	for (;;) {
		if (ioctl(stopper, STOPPER_REST, &number))
			_exit(8);
		if (me->job == QUIT)
			return NULL;
		work(me);
	}
}

/* The process of an address space, with a thread for each worker from the first one on. */
void start_process(int mm, int first, int threads)
{
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
	pthread_t running[STOPPER_ACTORS];
	pid_t process;

	for (int i = 0; i < threads; i++) {
		memset(&shared->worker[first + i], 0, sizeof(struct worker));
		shared->worker[first + i].mm = mm;
	}
	fflush(stdout);
	process = fork();
	for (int i = 0; process && i < threads; i++)
		shared->worker[first + i].process = process;
	if (process)
		return;
	/* Faults on code, and on what we share with the controller, would come by the same places: have them now. */
	mlockall(MCL_CURRENT);
	base = mmap(NULL, PAGES_MAX * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		_exit(7);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	for (int i = 0; i < threads; i++)
		pthread_create(&running[i], NULL, thread, &shared->worker[first + i]);
	for (int i = 0; i < threads; i++)
		pthread_join(running[i], NULL);
	_exit(0);
}

/* ---- the file before and after */

int make_file(void)
{
	static uint64_t cell_words[PAGE / 8];
	int fd;

	shared->run++;
	snprintf(shared->file, sizeof(shared->file), "%s/file-%u", test->folder, shared->run);
	snprintf(shared->server, sizeof(shared->server), "%s/file-%u", test->server, shared->run);
	fd = open(shared->file, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || ftruncate(fd, test->size * cell_bytes()))
		return failed(shared->file);
	for (int cell = 0; cell < test->size; cell++) {
		if (!(test->written >> cell & 1))
			continue;
		fill(cell_words, test->initial + cell);
		if (pwrite(fd, cell_words, cell_bytes(), cell * cell_bytes()) != cell_bytes())
			return failed(shared->file);
	}
	if (fsync(fd))
		return failed("fsync");
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	return 0;
}

/* Stamps; a cell whose words disagree is an array of stamp, number of words, stamp, number of words, .. */
static void print_values(const uint16_t *values, int words)
{
	const int in_cell = cell_bytes() / 8;

	putchar('[');
	for (int at = 0; at < words; at += in_cell) {
		int end = at + in_cell < words ? at + in_cell : words, same = at;

		printf(at ? "," : "");
		while (same < end && values[same] == values[at])
			same++;
		if (same == at + in_cell) {
			printf("%u", values[at]);
			continue;
		}
		for (int n = at; n < end; n = same) {
			for (same = n; same < end && values[same] == values[n]; same++)
				;
			printf("%s%u,%d", n == at ? "[" : ",", values[n], same - n);
		}
		putchar(']');
	}
	putchar(']');
}

void print_result(const struct result *result, bool values)
{
	print_values(result->values, values ? result->words : 0);
}

/* "which": [errno, size in bytes, cells] as a reader sees it now. */
void print_file(const char *which, const char *path, int error)
{
	static uint64_t content[WORDS_MAX + 1];
	static uint16_t values[WORDS_MAX];
	int fd = open(path, O_RDONLY), words;
	ssize_t bytes;

	memset(content, 0, sizeof(content));
	bytes = fd < 0 ? -1 : pread(fd, content, WORDS_MAX * 8, 0);
	if (bytes < 0 && !error)
		error = errno;
	words = bytes < 0 ? 0 : (bytes + cell_bytes() - 1) / cell_bytes() * (cell_bytes() / 8);
	for (int n = 0; n < words; n++)
		values[n] = stamp_in(content[n], n % (cell_bytes() / 8));
	printf(",\"%s\":[%d,%lld,", which, error, fd < 0 ? -1LL : (long long)size_of(fd));
	print_values(values, words);
	putchar(']');
	if (fd >= 0)
		close(fd);
}
