/* The hub: the process that meets the internet. It turns the SSH channels of appliances into descriptors that it hands
 * to the engine, and holds nothing but its host key and the table of keys that the engine pushes.
 *
 * Descriptors: `supervisor_fd` (SEQPACKET, docs/ARCHITECTURE.md), and right behind it the listening TCP sockets. First
 * message
 * {"set":{"host_key":TEXT of an OpenSSH private key,"listen":COUNT}}; then {"peer":"engine"} with a descriptor, again
 * for each new engine. Returns the exit code: 0 when the supervisor closes or SIGTERM comes. */
#ifndef HUB_HUB_H
#define HUB_HUB_H

int hub_main(int supervisor_fd);

#endif
