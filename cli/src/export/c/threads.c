static pthread_barrier_t start, stop;
static _Atomic int done[CALLS];
static int longest;             /* the longest delay before a call, in nanoseconds */

/* Waits until this call has returned. */
static void after(int call)
{
	while (!atomic_load(&done[call]))
		sched_yield();
}

static void delay(void)
{
	static __thread unsigned int random_;
	double until;

	if (!random_)
		random_ = (unsigned int)(uintptr_t)&random_ | 1;
	random_ = random_ * 1103515245 + 12345;
	until = now() + (longest ? (random_ >> 8) % longest : 0) / 1e9;
	while (now() < until)
		;
}
