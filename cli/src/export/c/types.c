/* How a call may end, one bit each. */
enum { OK = 1, BUS = 2, SEGV = 4, ERROR = 8 };

struct call {
	const char *name;
	int may;                        /* how it may end */
	int from, cells;                /* the cells that it returns */
	const char *values[CELLS];      /* what each may hold; '0' is a zero, "*" anything */
};

