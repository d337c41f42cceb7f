/* Frames of the worker protocol: see proto.h.
 *
 * The decoder believes nothing: a header is judged before a byte of its body is waited for, so a broken peer cannot
 * make this side buffer more than one frame, and the body passes the strict JSON scanner. */
#include "proto.h"

#include <string.h>

static const char *const names[PROTO_N_KINDS] = {
#define X(id, text, who) [PROTO_##id] = text,
	PROTO_KINDS(X)
#undef X
};

const char *proto_kind_name(enum proto_kind k)
{
	return (unsigned)k < PROTO_N_KINDS ? names[k] : "unknown";
}

void proto_msg_release(struct proto_msg *m)
{
	cJSON_Delete(m->body);
	m->body = NULL;
}

static void put_le(unsigned char *at, uint64_t v, int n_bytes)
{
	for (int i = 0; i < n_bytes; i++)
		at[i] = (unsigned char)(v >> (8 * i));
}

static uint64_t get_le(const unsigned char *at, int n_bytes)
{
	uint64_t v = 0;

	for (int i = 0; i < n_bytes; i++)
		v |= (uint64_t)at[i] << (8 * i);
	return v;
}

bool proto_encode(struct buf *out, enum proto_kind kind, int64_t number, const cJSON *body)
{
	unsigned char header[PROTO_HEADER];
	char *text = json_print(body);
	size_t n = strlen(text);
	bool fits = n <= PROTO_BODY_MOST && n + PROTO_HEADER <= out->cap - out->len;

	if (fits) {
		put_le(header, n, 4);
		put_le(header + 4, PROTO_VERSION, 2);
		put_le(header + 6, (uint64_t)kind, 2);
		put_le(header + 8, (uint64_t)number, 8);
		buf_append(out, header, sizeof header);
		buf_append(out, text, n);
	}
	mem_free(text);
	return fits;
}

size_t proto_frame_bytes(const struct buf *in)
{
	return PROTO_HEADER + (in->len < PROTO_HEADER ? 0 : (size_t)get_le((const unsigned char *)in->data, 4));
}

static int broken(struct err *e, const char *what, uint64_t value, uint64_t most)
{
	err_set(e, TD_CORRUPT, "a frame's %s is %llu; this program takes at most %llu", what, (unsigned long long)value,
		(unsigned long long)most);
	return -1;
}

int proto_decode(struct buf *in, struct proto_msg *m, struct err *e)
{
	const unsigned char *head = (const unsigned char *)in->data;
	uint64_t n, version, kind, number;

	if (in->len < PROTO_HEADER)
		return 0;
	n = get_le(head, 4);
	version = get_le(head + 4, 2);
	kind = get_le(head + 6, 2);
	number = get_le(head + 8, 8);
	if (version != PROTO_VERSION) {
		err_set(e, TD_CORRUPT,
			"a frame's protocol version is %llu; this program speaks %d: tandemd and tandem-worker must "
			"come from one build",
			(unsigned long long)version, PROTO_VERSION);
		return -1;
	}
	if (n > PROTO_BODY_MOST)
		return broken(e, "size", n, PROTO_BODY_MOST);
	if (kind >= PROTO_N_KINDS)
		return broken(e, "kind", kind, PROTO_N_KINDS - 1);
	if (number > (uint64_t)JSON_INTEGER_MOST)
		return broken(e, "number", number, (uint64_t)JSON_INTEGER_MOST);
	if (in->len < PROTO_HEADER + n)
		return 0;

	*m = (struct proto_msg){ .kind = (enum proto_kind)kind, .number = (int64_t)number };
	m->body = json_parse(in->data + PROTO_HEADER, n, e);
	if (m->body && !cJSON_IsObject(m->body)) {
		err_set(e, TD_CORRUPT, "the body of a frame is not a JSON object");
		proto_msg_release(m);
	}
	if (!m->body) {
		err_wrap(e, "message %s", names[kind]);
		return -1;
	}
	buf_drop(in, PROTO_HEADER + n);
	return 1;
}
