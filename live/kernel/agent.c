// SPDX-License-Identifier: GPL-2.0
// The guest's side of `mkwrite vm`: reads requests, one a line, from standard input, and answers with lines of JSON.
// The host decides everything: what is mounted, where the probes are, and what a case and its schedule are.
//
//   run COMMAND                 a shell command: {"line": TEXT} for each line of its output
//   code SYMBOL                 {"code": {"address": N, "bytes": HEX}}, of a function of the running kernel
//   name ADDRESS..              {"names": ["", "SYMBOL", ..]}, empty where no function begins
//   probe ADDRESS at|return     {"probe": N}
//   case FOLDER SERVER|- PAGES CELLS SIZE MMS WRITTEN INITIAL BLOCKED_US DROP     begins a case; it goes on with
//   actor N MM / op ACTOR SLOT KIND A B / order ACTOR SLOT PROBE COUNT
//   go                          runs the case by its orders: {"order": ..} for each, and {"run": ..}
//   tries COUNT SEED            runs it so often, by its orders (SEED 0) or by orders that it draws: {"run": ..} each
//
// Requests of one line are separated by ';', but for `run`. A line ends with {"done": STATUS}; an error is {"error": TEXT}
// before that, and the status is not 0. What {"run": ..} holds is said by print_run and end_run (steer.c), what cells
// hold by work.c.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent.h"

struct shared *shared;
int stopper = -1;

/* ---- answers */

void text(const char *key, const char *value)
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

int failed(const char *what)
{
	char line[256];

	snprintf(line, sizeof(line), "%s: %s", what, strerror(errno));
	text("error", line);
	return 1;
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

/* ---- requests */

static int new_case(const char *line)
{
	unsigned long long written;
	long long initial;

	memset(test, 0, sizeof(*test));
	if (sscanf(line, "case %95s %95s %d %d %d %d %llx %lld %u %d", test->folder, test->server, &test->pages, &test->cells,
		   &test->size, &test->mms, &written, &initial, &test->blocked_us, &test->drop) != 10 ||
	    test->pages < 1 || test->pages > PAGES_MAX || test->cells < 1 || test->cells > 8 ||
	    test->mms < 1 || test->mms > ACTORS_MAX) {
		text("error", "not a case");
		return 1;
	}
	test->written = written;
	test->initial = initial;
	return 0;
}

static int kind_of(const char *word)
{
	for (int kind = 0; kind < KINDS; kind++)
		if (!strcmp(kinds[kind], word))
			return kind;
	return -1;
}

static int add_to_case(const char *line)
{
	int actor, slot, a, b, c = 0, d = 0, probe;
	char word[16];

	if (sscanf(line, "actor %d %d", &actor, &a) == 2 && actor >= 0 && actor < ACTORS_MAX && a >= 0 && a < test->mms) {
		test->actors[actor].used = true;
		test->actors[actor].mm = a;
		return 0;
	}
	if (sscanf(line, "op %d %d %15s %d %d %d %d", &actor, &slot, word, &a, &b, &c, &d) >= 5 && kind_of(word) >= 0 &&
	    actor >= 0 && actor < ACTORS_MAX && slot >= 0 && slot < SLOTS_MAX) {
		test->actors[actor].operations[slot] = (struct operation){ kind_of(word), a, b, c, d };
		if (slot >= test->actors[actor].slots)
			test->actors[actor].slots = slot + 1;
		return 0;
	}
	if (sscanf(line, "order %d %d %d %d", &actor, &slot, &probe, &a) == 4 &&
	    actor >= 0 && actor < ACTORS_MAX && test->orders < ORDERS_MAX) {
		test->order[test->orders++] = (struct order){ actor, slot, probe, a };
		return 0;
	}
	text("error", "not a request");
	return 1;
}

static int serve(char *line)
{
	unsigned long long address, seed;
	char word[16];
	int count;

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
	if (sscanf(line, "probe %llu %15s", &address, word) == 2)
		return probe(address, word);
	if (!strncmp(line, "case ", 5))
		return new_case(line);
	if (!strcmp(line, "go"))
		return run_case();
	if (sscanf(line, "tries %d %llu", &count, &seed) == 2)
		return tries(count, seed);
	return add_to_case(line);
}

int main(void)
{
	static char line[1 << 14];

	setvbuf(stdout, NULL, _IOLBF, 1 << 16);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return failed("mmap");
	printf("{\"up\":1}\n");
	while (fgets(line, sizeof(line), stdin)) {
		char *request, *rest = line;
		int status = 0;

		line[strcspn(line, "\r\n")] = 0;
		if (!*line)
			continue;
		if (!strcmp(line, "end"))
			break;
		if (!strncmp(line, "run ", 4))
			status = serve(line);
		else
			while (!status && (request = strsep(&rest, ";")))
				status = serve(request);
		fflush(stdout);
		printf("{\"done\":%d}\n", status);
	}
	return 0;
}
