/*
 * plugin_sysv.c - an object with the old hash table alone (see the Makefile), and with an
 * indirect function, whose address only its resolver knows.
 */
int sysv_function(int value);
int sysv_indirect(int value);
extern int sysv_variable;

int sysv_variable = 5;

int sysv_function(int value)
{
	return value + sysv_variable;
}

static int chosen(int value)
{
	return value * 2;
}

static __attribute__((used)) int (*choose(void))(int)
{
	return chosen;
}

int sysv_indirect(int value) __attribute__((ifunc("choose")));
