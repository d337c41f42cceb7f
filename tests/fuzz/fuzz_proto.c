/* The messages between daemon and worker: a stream of any bytes, in pieces of any size, gives messages or one clear
 * error. */
#include "proto.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct buf in;
	struct proto_msg m;
	struct err e = { 0 };
	size_t piece = n ? data[0] % 31 + 1u : 1;
	int got = 0;

	buf_init(&in, PROTO_HEADER + PROTO_BODY_MOST);
	for (size_t i = 0; i < n && got >= 0; i += piece) {
		TD_ASSERT(buf_append(&in, data + i, TD_MIN(piece, n - i)));
		while ((got = proto_decode(&in, &m, &e)) == 1) {
			TD_ASSERT(m.kind < PROTO_N_KINDS && cJSON_IsObject(m.body));
			proto_msg_release(&m);
		}
	}
	TD_ASSERT(got >= 0 || e.status != TD_OK);
	buf_release(&in);
	return 0;
}
