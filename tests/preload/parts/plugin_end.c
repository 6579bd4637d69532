/* plugin_end.c - the last namesake of plugin_forward.c's; also what plugin_runpath finds. */
int cuForwarded(int depth);

int cuForwarded(int depth)
{
	return 1000 + depth;
}
