/* The `nightshift` program: what a technician types, over the API's unix socket. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

int cli_main(int argc, char **argv);

#endif
