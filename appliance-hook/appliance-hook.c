/* appliance-hook: the program of the appliance. */
#include <malloc.h>

#include "appliance-hook/cli/program.h"

/* The hook waits for months and is large for a minute: what is large is mapped by itself, and goes back once it is
 * freed. */
enum { MAPPED_LEAST = 512 * 1024 };

int main(int argc, char **argv)
{
	mallopt(M_MMAP_THRESHOLD, MAPPED_LEAST);
	mallopt(M_TRIM_THRESHOLD, MAPPED_LEAST);
	return program_main(argc, argv);
}
