/* Which addresses a download may connect to: public ones.  A redirect, or a name that resolves to the machine's own
 * network, must not turn the daemon into a way around a firewall. */
#ifndef FETCH_ADDRESS_H
#define FETCH_ADDRESS_H

#include <curl/curl.h>
#include <stdbool.h>
#include <sys/socket.h>

/* Neither loopback, link-local, private, shared, multicast, nor reserved; IPv4 inside IPv6 counts as what it is. */
bool address_is_public(const struct sockaddr *a);
/* For CURLOPT_OPENSOCKETFUNCTION: refuses addresses that are not public, and then sets *(bool *)REFUSED. */
curl_socket_t address_open_public(void *refused, curlsocktype purpose, struct curl_sockaddr *address);
/* The proxy that the environment names for downloads, or NULL. */
const char *address_proxy(void);

#endif
