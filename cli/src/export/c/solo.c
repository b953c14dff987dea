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
