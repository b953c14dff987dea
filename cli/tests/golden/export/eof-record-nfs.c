// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * eof-record-nfs
 *
 * The same with a write request instead of blocks. The request covers what
 * was below i_size. A write to the next page makes the file grow; a store to
 * the rest of the first page lies outside the range of its request, and no
 * fault tells NFS about it. The server never sees it. Replayed on Debian's
 * 6.1.192 and 6.12.117.
 *
 * A file of 2048 bytes.
 *   A.0 store 0..2048
 *   A.1 write 4096..6144
 *   A.2 store 2048..4096
 *
 * Written by `mkwrite export`. Bytes that a call puts into the file are its letter in the
 * tables below, `i` is what the file holds at first.
 *
 *   gcc -O2 -Wall -Wextra -o eof-record-nfs eof-record-nfs.c && ./eof-record-nfs DIR
 *
 * Exit code: 0 nothing is wrong, 1 something is, 2 it could not run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME "eof-record-nfs"
enum { PAGE = 4096, PAGES = 2, CELL = 2048, CELLS = 4, SIZE = 2048 };
enum { MMS = 1, CALLS = 3 };

/* How a call may end, one bit each. */
enum { OK = 1, BUS = 2, SEGV = 4, ERROR = 8 };

struct call {
	const char *name;
	int may;                        /* how it may end */
	int from, cells;                /* the cells that it returns */
	const char *values[CELLS];      /* what each may hold; '0' is a zero, "*" anything */
};

/* Each cell at first, and at the end. */
static const char initial[] = "i";
static const char *const content[CELLS] = { "A", "C", "B", "" };

/* The file may have this size at the end. */
static int is_size(long size)
{
	return size == 6144;
}

static const struct call calls[CALLS] = {
	{ .name = "A.0 store 0..2048", .may = OK },
	{ .name = "A.1 write 4096..6144", .may = OK },
	{ .name = "A.2 store 2048..4096", .may = OK },
};

static int fd = -1, server_fd = -1;
static char path[4096];
static char *map[MMS];
static int results[CALLS], errors[CALLS];
static ssize_t counts[CALLS];
static char returned[CALLS][PAGES * PAGE];
static long rounds, wrong_rounds;
static int wrong_here;
static __thread sigjmp_buf fault;

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	if (path[0])
		unlink(path);
	exit(2);
}

/* Says what is wrong, of the first rounds. */
static void wrong(const char *format, ...)
{
	va_list arguments;

	if (!wrong_here++)
		wrong_rounds++;
	if (wrong_rounds > 3)
		return;
	printf("round %ld: ", rounds);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
}

static void on_fault(int signal)
{
	siglongjmp(fault, signal);
}

static int store(int mm, int from, int to, char byte)
{
	volatile char *bytes = map[mm];
	int signal = sigsetjmp(fault, 1);

	if (signal)
		return signal == SIGBUS ? BUS : SEGV;
	for (int i = from; i < to; i++)
		bytes[i] = byte;
	return OK;
}

static int load(int mm, int from, int to, int call)
{
	volatile char *bytes = map[mm];
	int signal = sigsetjmp(fault, 1);

	counts[call] = 0;
	if (signal)
		return signal == SIGBUS ? BUS : SEGV;
	for (int i = from; i < to; i++)
		returned[call][i - from] = bytes[i];
	counts[call] = to - from;
	return OK;
}

static int write_(int from, int to, char byte)
{
	char bytes[PAGES * PAGE];

	memset(bytes, byte, to - from);
	return pwrite(fd, bytes, to - from, from) == to - from ? OK : ERROR;
}

/* A mapping of the file, or memory that nobody may touch. */
static int place(int mm, int is_file)
{
	int flags = is_file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
	void *at = mmap(map[mm], PAGES * PAGE, is_file ? PROT_READ | PROT_WRITE : PROT_NONE,
			flags | (map[mm] ? MAP_FIXED : 0), is_file ? fd : -1, 0);

	if (at == MAP_FAILED)
		return ERROR;
	map[mm] = at;
	return OK;
}

/* The size without asking anybody to write the file back, as fstat does on NFS and FUSE. */
static long size_of(int file)
{
	struct statx status;

	if (statx(file, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_SIZE, &status))
		die("statx");
	return status.stx_size;
}

static int may_hold(const char *values, char byte)
{
	return strchr(values, byte ? byte : '0') || strchr(values, '*');
}

static void look(const char *who, const char *bytes, int cell, const char *values)
{
	for (int i = 0; i < CELL; i++) {
		if (may_hold(values, bytes[i]))
			continue;
		wrong("%s: bytes %d..%d hold 0x%02x (%c), and may hold one of \"%s\"", who,
		      cell * CELL + i, (cell + 1) * CELL, (unsigned char)bytes[i],
		      bytes[i] ? bytes[i] : '0', values);
		return;
	}
}

/* The content that this file has now. */
static void look_at(const char *who, int file)
{
	static char bytes[PAGES * PAGE] __attribute__((aligned(4096)));
	ssize_t count;

	memset(bytes, 0, sizeof(bytes));
	count = pread(file, bytes, sizeof(bytes), 0);
	if (count < 0) {
		wrong("%s: cannot be read: %s", who, strerror(errno));
		return;
	}
	if (!is_size(count))
		wrong("%s: a read returns %zd bytes", who, count);
	for (int cell = 0; cell < CELLS && (cell + 1) * CELL <= count; cell++)
		look(who, bytes + cell * CELL, cell, content[cell]);
}

/* What each call returned. */
static void look_at_calls(void)
{
	for (int n = 0; n < CALLS; n++) {
		const struct call *call = &calls[n];

		if (!(results[n] & call->may))
			wrong("%s ended with %s%s", call->name,
			      results[n] == OK ? "success" : results[n] == BUS ? "SIGBUS" :
			      results[n] == SEGV ? "SIGSEGV" : "an error: ",
			      results[n] == ERROR ? strerror(errors[n]) : "");
		for (int i = 0; i < call->cells && (i + 1) * CELL <= counts[n]; i++)
			look(call->name, returned[n] + i * CELL, call->from + i, call->values[i]);
	}
}

/* The file as it is before a round: dirty, on the store, or also mapped for reading. */
static void begin_round(void)
{
	int variant = rounds % 4;

	wrong_here = 0;
	if (ftruncate(fd, 0))
		die("ftruncate");
	for (int cell = 0; cell * CELL < SIZE; cell++)
		if (initial[cell] != '0' && write_(cell * CELL, (cell + 1) * CELL, initial[cell]) != OK)
			die("pwrite");
	if (ftruncate(fd, SIZE))
		die("ftruncate");
	if (variant && fsync(fd))
		die("fsync");
	for (int mm = 0; mm < MMS; mm++) {
		if (place(mm, 1) != OK)
			die("mmap");
		for (int at = 0; variant > 1 && at < SIZE; at += PAGE)
			load(mm, at, at + 1, 0);
	}
}

static void end_round(void)
{
	long at_rest = size_of(fd), size;
	int direct;

	look_at_calls();
	if (fsync(fd))
		wrong("fsync in the end: %s", strerror(errno));
	for (int mm = 0; mm < MMS; mm++)
		place(mm, 0);
	if (fsync(fd))
		wrong("fsync in the end: %s", strerror(errno));
	size = lseek(fd, 0, SEEK_END);
	if (!is_size(size))
		wrong("the size is %ld", size);
	if (size != at_rest)
		wrong("the size was %ld before the last fsync, and is %ld after it", at_rest, size);
	look_at("at the end", fd);
	/* From the store, as far as that goes without unmounting. */
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	direct = open(path, O_RDONLY | O_DIRECT);
	if (direct >= 0) {
		char probe[PAGE] __attribute__((aligned(4096)));

		if (pread(direct, probe, PAGE, 0) >= 0)
			look_at("on the store", direct);
		close(direct);
	}
	if (server_fd >= 0) {
		if (lseek(server_fd, 0, SEEK_END) != size)
			wrong("the size is %ld on the server, and %ld on the client",
			      (long)lseek(server_fd, 0, SEEK_END), size);
		look_at("on the server", server_fd);
	}
	rounds++;
}

static void usage(void)
{
	fprintf(stderr, "usage: %s DIR [SECONDS [SERVERDIR]]\n"
		"  DIR        a folder on the filesystem that is tried\n"
		"  SECONDS    how long, 10 without it; 0: four rounds\n"
		"  SERVERDIR  the same folder where its server has it, to look there too\n", NAME);
	exit(2);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* The file, on which all rounds run. */
static void open_file(int count, char **arguments)
{
	struct sigaction action = { .sa_handler = on_fault };

	if (count < 2 || count > 4)
		usage();
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	snprintf(path, sizeof(path), "%s/%s-%d", arguments[1], NAME, (int)getpid());
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0) {
		char which[4096];

		snprintf(which, sizeof(which), "%s", path);
		path[0] = 0;
		die(which);
	}
	if (count > 3) {
		char server[4096];

		snprintf(server, sizeof(server), "%s/%s-%d", arguments[3], NAME, (int)getpid());
		server_fd = open(server, O_RDONLY);
		if (server_fd < 0)
			die(server);
	}
}

static int finish(const char *folder)
{
	unlink(path);
	printf("%s on %s: %ld rounds, %ld wrong\n", NAME, folder, rounds, wrong_rounds);
	return wrong_rounds ? 1 : 0;
}

static void run(void)
{
	/* A.0 store 0..2048 */
	results[0] = store(0, 0, 2048, 'A');
	errors[0] = errno;
	/* A.1 write 4096..6144 */
	results[1] = write_(4096, 6144, 'B');
	errors[1] = errno;
	/* A.2 store 2048..4096 */
	results[2] = store(0, 2048, 4096, 'C');
	errors[2] = errno;
}

int main(int count, char **arguments)
{
	double limit;

	open_file(count, arguments);
	limit = now() + (count > 2 ? atof(arguments[2]) : 0);
	do {
		begin_round();
		run();
		end_round();
	} while (rounds < 4 || now() < limit);
	return finish(arguments[1]);
}
