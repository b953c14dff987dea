int main(int count, char **arguments)
{
	double limit;

	open_file(count, arguments);
	limit = now() + (count > 2 ? atof(arguments[2]) : 10);
	pthread_barrier_init(&start, NULL, ACTORS + 1);
	pthread_barrier_init(&stop, NULL, ACTORS + 1);
	for (int n = 0; n < ACTORS; n++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, actor, (void *)(intptr_t)n))
			die("pthread_create");
		pthread_detach(thread);
	}
	do {
		begin_round();
		/* The windows of some calls are long, of others short. */
		longest = (int[]){ 0, 300, 30000, 300000 }[rounds / 4 % 4];
		for (int n = 0; n < CALLS; n++)
			atomic_store(&done[n], 0);
		pthread_barrier_wait(&start);
		pthread_barrier_wait(&stop);
		end_round();
	} while (rounds < 4 || now() < limit);
	return finish(arguments[1]);
}
