// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * A store to the first byte of a file through a mapping, against a write(2) that appends to the same
 * page. What write(2) has appended must be there.
 *
 *   gcc -O2 -Wall -Wextra -pthread -o f2fs-append f2fs-append.c && ./f2fs-append FILE SECONDS
 *
 * Exit code: 0 nothing was lost, 1 something was, 2 it could not run.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, OLD = 512, NEW = 1536 };

static char *volatile page;
static atomic_int round_number, done;

static void *storer(void *unused)
{
	int seen = 0;

	(void)unused;
	for (;;) {
		while (round_number == seen)
			sched_yield();
		seen = round_number;
		if (seen < 0)
			return NULL;
		*(volatile char *)page = 'x';
		done = 1;
	}
}

static void check(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(2);
	}
}

/* Whether the file lacks what was appended. */
static int lacks(int fd, const char *appended)
{
	char found[NEW] = { 0 };

	check(pread(fd, found, NEW, OLD) >= 0, "pread");
	return memcmp(found, appended, NEW) != 0;
}

int main(int count, char **words)
{
	char before[OLD], appended[NEW];
	int rounds = 0, lost = 0, from_store = 0, fd;
	pthread_t thread;
	time_t end;

	if (count != 3) {
		fprintf(stderr, "usage: %s FILE SECONDS\n", words[0]);
		return 2;
	}
	end = time(NULL) + atoi(words[2]);
	memset(before, 'a', OLD);
	memset(appended, 'b', NEW);
	fd = open(words[1], O_RDWR | O_CREAT, 0600);
	check(fd >= 0, words[1]);
	check(pthread_create(&thread, NULL, storer, NULL) == 0, "pthread_create");
	for (; time(NULL) < end; rounds++) {
		check(ftruncate(fd, 0) == 0, "ftruncate");
		check(pwrite(fd, before, OLD, 0) == OLD, "pwrite");
		check(fsync(fd) == 0, "fsync");
		page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		check(page != MAP_FAILED, "mmap");
		(void)*(volatile char *)(page + 1); /* the pte is there, read-only */
		done = 0;
		round_number++;
		if (rounds % 2)
			sched_yield();
		check(pwrite(fd, appended, NEW, OLD) == NEW, "pwrite");
		while (!done)
			sched_yield();
		if (lacks(fd, appended)) {
			lost++;
			munmap(page, PAGE);
			check(fsync(fd) == 0, "fsync");
			posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
			from_store += lacks(fd, appended);
		} else {
			munmap(page, PAGE);
		}
	}
	round_number = -1;
	pthread_join(thread, NULL);
	printf("%d of %d rounds lost what was appended, %d of them from the store too\n", lost, rounds, from_store);
	return lost != 0;
}
