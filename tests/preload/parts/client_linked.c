/* client_linked.c - a program linked to the driver. */
#include "linked.h"

int main(void)
{
	return linked_run();
}
