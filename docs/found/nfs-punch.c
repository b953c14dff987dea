// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Stores below the end of a file through a mapping, against a hole that is punched with
 * FALLOC_FL_KEEP_SIZE and ends beyond the end of the file. The size must not change.
 *
 *   gcc -O2 -Wall -Wextra -pthread -o nfs-punch nfs-punch.c && ./nfs-punch FILE SECONDS [SERVERFILE]
 *
 * Exit code: 0 the size never changed, 1 it did, 2 it could not run.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 2560, FROM = 2048, LENGTH = 2048 };

static volatile char *map;
static pthread_barrier_t start, stop;
static atomic_int delay;

static void *storer(void *unused)
{
	(void)unused;
	for (;;) {
		pthread_barrier_wait(&start);
		if (delay & 1)
			usleep(delay % 500);
		map[0] = 's';
		pthread_barrier_wait(&stop);
	}
	return NULL;
}

static void check(int failed, const char *what)
{
	if (failed) {
		perror(what);
		exit(2);
	}
}

int main(int count, char **arguments)
{
	long rounds = 0, client = 0, server = 0, later = 0;
	char content[SIZE];
	struct stat status;
	pthread_t thread;
	unsigned int random = 1;
	time_t end;
	int fd;

	if (count < 3) {
		fprintf(stderr, "usage: %s FILE SECONDS [SERVERFILE]\n", arguments[0]);
		return 2;
	}
	memset(content, 'i', sizeof(content));
	fd = open(arguments[1], O_RDWR | O_CREAT, 0600);
	check(fd < 0, arguments[1]);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(map == MAP_FAILED, "mmap");
	pthread_barrier_init(&start, NULL, 2);
	pthread_barrier_init(&stop, NULL, 2);
	check(pthread_create(&thread, NULL, storer, NULL), "pthread_create");
	for (end = time(NULL) + atol(arguments[2]); time(NULL) < end; rounds++) {
		check(ftruncate(fd, 0) || pwrite(fd, content, SIZE, 0) != SIZE || fsync(fd), "begin");
		(void)map[0];
		random = random * 1103515245 + 12345;
		delay = random >> 16;
		pthread_barrier_wait(&start);
		check(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FROM, LENGTH),
		      "fallocate");
		pthread_barrier_wait(&stop);
		check(fsync(fd) || fstat(fd, &status), "fsync");
		if (status.st_size == SIZE)
			continue;
		client++;
		if (count < 4)
			continue;
		check(stat(arguments[3], &status), arguments[3]);
		server += status.st_size != SIZE;
		/* One more store, and the server has the wrong size too. */
		map[1] = 's';
		check(fsync(fd) || stat(arguments[3], &status), arguments[3]);
		later += status.st_size != SIZE;
	}
	printf("%ld rounds, the size changed in %ld, at the server in %ld, after one more store and fsync in %ld\n",
	       rounds, client, server, later);
	unlink(arguments[1]);
	return client != 0;
}
