/* Which addresses a download may connect to: see address.h. */
#include "fetch/address.h"
#include "base/mem.h"

#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* IPv4 blocks that are not of the public internet (IANA's special-purpose registry). */
static const struct {
	uint32_t network;
	int bits;
} blocks[] = {
	{ 0x00000000, 8 },  /* this network */
	{ 0x0a000000, 8 },  /* private */
	{ 0x64400000, 10 }, /* shared by carriers */
	{ 0x7f000000, 8 },  /* loopback */
	{ 0xa9fe0000, 16 }, /* link-local */
	{ 0xac100000, 12 }, /* private */
	{ 0xc0000000, 24 }, /* protocol assignments */
	{ 0xc0000200, 24 }, /* documentation */
	{ 0xc0a80000, 16 }, /* private */
	{ 0xc6120000, 15 }, /* benchmarks */
	{ 0xc6336400, 24 }, /* documentation */
	{ 0xcb007100, 24 }, /* documentation */
	{ 0xe0000000, 3 },  /* multicast, reserved, broadcast */
};

static bool public_v4(uint32_t a)
{
	for (size_t i = 0; i < TD_COUNT(blocks); i++)
		if (a >> (32 - blocks[i].bits) == blocks[i].network >> (32 - blocks[i].bits))
			return false;
	return true;
}

static uint32_t v4_at(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static bool public_v6(const uint8_t b[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	static const uint8_t translated[12] = { 0x00, 0x64, 0xff, 0x9b }; /* NAT64 */

	if (!memcmp(b, mapped, 12) || !memcmp(b, translated, 12))
		return public_v4(v4_at(b + 12));
	if (b[0] == 0x20 && b[1] == 0x02) /* 6to4 */
		return public_v4(v4_at(b + 2));
	return (b[0] & 0xe0) == 0x20; /* 2000::/3, all that is given out */
}

bool address_is_public(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET)
		return public_v4(ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr));
	if (a->sa_family == AF_INET6)
		return public_v6(((const struct sockaddr_in6 *)a)->sin6_addr.s6_addr);
	return false;
}

curl_socket_t address_open_public(void *refused, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)purpose;
	if (!address_is_public(&address->addr)) {
		*(bool *)refused = true;
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

const char *address_proxy(void)
{
	static const char *const names[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy" };

	for (size_t i = 0; i < TD_COUNT(names); i++)
		if (getenv(names[i]) && *getenv(names[i]))
			return getenv(names[i]);
	return NULL;
}
