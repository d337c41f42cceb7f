/* The dashboard's files: from the program itself, or from --web-dir while developing.
 *
 * "/" and every address that looks like a page is index.html: which view it shows is the browser's business. */
#include "base/file.h"
#include "embedded.h"
#include "http/connection.h"
#include "http/text.h"

#include <nettle/base64.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

#define FILE_MOST (16u << 20) /* of a web file */

/* Append 'sha256-...' for every inline script of PAGE: the import map is one, and without a bundler it has to be
 * inline. */
static void allow_inline_scripts(const char *page, struct buf *out)
{
	const char *at = page, *open, *end;

	while ((open = strstr(at, "<script")) && (end = strchr(open, '>'))) {
		const char *text = end + 1, *close = strstr(text, "</script>");
		struct sha256_ctx ctx;
		uint8_t digest[SHA256_DIGEST_SIZE];
		char digits[BASE64_ENCODE_RAW_LENGTH(SHA256_DIGEST_SIZE) + 1] = "";

		if (!close)
			return;
		at = close;
		if (memmem(open, (size_t)(end - open), " src=", 5))
			continue;
		sha256_init(&ctx);
		sha256_update(&ctx, (size_t)(close - text), (const uint8_t *)text);
		sha256_digest(&ctx, sizeof digest, digest);
		base64_encode_raw(digits, sizeof digest, digest);
		buf_printf(out, " 'sha256-%s'", digits);
	}
}

static void respond_page_policy(struct response *r, const char *page)
{
	struct buf policy;

	buf_init(&policy, 4096);
	buf_puts(&policy, "default-src 'self'; script-src 'self'");
	allow_inline_scripts(page, &policy);
	buf_puts(&policy, "; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
			  "object-src 'none'; base-uri "
			  "'none'; form-action 'self'; frame-ancestors 'none'");
	respond_header(r, "Content-Security-Policy", policy.data);
	respond_header(r, "Cross-Origin-Opener-Policy", "same-origin");
	buf_release(&policy);
}

/* NAME as it stands among the embedded files ("assets/views/job.js"), from disk below --web-dir ("views/job.js"). */
static bool serve_from_disk(const struct request *q, struct response *r, const char *name, const char *media_type)
{
	char *path = mem_printf("%s/%s", q->srv->config->web_dir, strncmp(name, "assets/", 7) ? name : name + 7);
	struct err e = { 0 };
	struct buf bytes;
	size_t n;

	buf_init(&bytes, FILE_MOST);
	if (!file_read(path, &bytes, &e)) {
		n = bytes.len;
		if (!strncmp(media_type, "text/html", 9))
			respond_page_policy(r, bytes.data ? bytes.data : "");
		respond_bytes(r, 200, media_type, buf_take(&bytes), n);
	}
	buf_release(&bytes);
	mem_free(path);
	return r->code != 0;
}

/* The type of a file that is new on disk and not in the program yet. */
static const char *guess_type(const char *name)
{
	static const char *const rows[][2] = { { ".html", "text/html; charset=utf-8" },
		{ ".css", "text/css; charset=utf-8" }, { ".js", "text/javascript; charset=utf-8" },
		{ ".json", "application/json" }, { ".svg", "image/svg+xml" }, { ".png", "image/png" } };
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < TD_COUNT(rows); i++)
		if (!strcmp(rows[i][0], dot))
			return rows[i][1];
	return "application/octet-stream";
}

td_status static_serve(struct request *q, struct response *r, struct err *e)
{
	const char *last = strrchr(q->path, '/'), *name = q->path + 1;
	const struct embedded_file *f;
	bool page = !strncmp(name, "assets/", 7) ? false : strchr(last, '.') == NULL;

	if (strstr(q->path, "..") ||
		(!page && strncmp(name, "assets/", 7) && strcmp(name, "index.html") && strcmp(name, "favicon.ico")))
		return err_set(e, TD_NOT_FOUND, "there is nothing at %s", q->path);
	if (page)
		name = "index.html";
	f = embedded_find(name);
	if (q->srv->config->web_dir && serve_from_disk(q, r, name, f ? f->media_type : guess_type(name)))
		return TD_OK;
	if (!f)
		return err_set(e, TD_NOT_FOUND, "there is nothing at %s", q->path);
	if (!strncmp(f->media_type, "text/html", 9))
		respond_page_policy(r, (const char *)f->data);
	respond_borrowed(r, 200, f->media_type, f->data, f->n_bytes);
	return TD_OK;
}
