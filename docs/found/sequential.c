// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Programs of one process that some filesystems get wrong: stores through a mapping, and calls that
 * change the file around them. Each says what it lost.
 *
 *   gcc -O2 -Wall -Wextra -o sequential sequential.c && ./sequential DIR
 *
 * Exit code: 0 nothing is wrong, 1 something is, 2 it could not run. Content is read again after
 * fsync and POSIX_FADV_DONTNEED; run it as root to drop the page cache as well.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LENGTH = 12288 };

static char path[4096];
static int fd, wrong;
static char *map;

static void check(int failed, const char *what)
{
	if (failed) {
		perror(what);
		unlink(path);
		exit(2);
	}
}

/* A new file of this size, mapped. */
static void begin(int size)
{
	char content[LENGTH];

	memset(content, 'i', sizeof(content));
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	check(fd < 0, path);
	check(pwrite(fd, content, size, 0) != size || fsync(fd), "begin");
	map = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(map == MAP_FAILED, "mmap");
}

/* How many of these bytes are not this one, once the file has been synced and read again. */
static int others(int from, int to, char byte)
{
	char content[LENGTH] = { 0 };
	int drop, count = 0;

	check(fsync(fd), "fsync");
	munmap(map, LENGTH);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	drop = open("/proc/sys/vm/drop_caches", O_WRONLY);
	if (drop >= 0) {
		if (write(drop, "1", 1) != 1)
			perror("drop_caches");
		close(drop);
	}
	check(pread(fd, content, LENGTH, 0) < 0, "pread");
	for (int i = from; i < to; i++)
		count += content[i] != byte;
	close(fd);
	return count;
}

static void say(const char *what, int count)
{
	wrong |= count != 0;
	printf("%-60s %s", what, count ? "WRONG: " : "right\n");
	if (count)
		printf("%d bytes\n", count);
}

int main(int count, char **arguments)
{
	char content[1024];
	struct stat status;

	if (count != 2) {
		fprintf(stderr, "usage: %s DIR\n", arguments[0]);
		return 2;
	}
	snprintf(path, sizeof(path), "%s/sequential-%d", arguments[1], (int)getpid());
	memset(content, 'w', sizeof(content));

	begin(1024);
	map[0] = 's';
	if (fallocate(fd, 0, 3072, 1024) == 0) {
		memset(map + 1024, 's', 2048);
		say("store, fallocate to the page's end, store", others(1024, 3072, 's'));
	}

	begin(7680);
	check(pwrite(fd, content, 512, 6144) != 512, "pwrite");
	memset(map + 7168, 's', 512);
	if (fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 4096, 3584) == 0) {
		memset(map + 5120, 's', 1536);
		say("store, zero a range of the page, store", others(5120, 6656, 's'));
	}

	begin(2048);
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2048, 1024) == 0) {
		check(fstat(fd, &status), "fstat");
		say("punch a hole beyond the end, keep the size", (int)status.st_size - 2048);
	}
	others(0, 0, 0);

	begin(512);
	memset(map, 's', 512);
	check(pwrite(fd, content, 512, 7168) != 512, "pwrite");
	say("store to a small file, write beyond its end", others(0, 512, 's'));

	begin(5120);
	check(ftruncate(fd, 0) || ftruncate(fd, 10240), "ftruncate");
	memset(map + 10240, 's', 1024);
	say("truncate to 0, truncate up, store beyond the end", others(0, 10240, 0));

	begin(0);
	check(ftruncate(fd, 3072), "ftruncate");
	memset(map, 's', 1024);
	check(pwrite(fd, content, 1024, 1024) != 1024, "pwrite");
	say("truncate up, store, write behind it", others(0, 1024, 's'));

	unlink(path);
	return wrong;
}
