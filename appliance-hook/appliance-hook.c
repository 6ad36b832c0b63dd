/* appliance-hook: the program of the appliance. */
#include "appliance-hook/cli/program.h"

int main(int argc, char **argv)
{
	return program_main(argc, argv);
}
