#!/bin/sh
# Writes the C source of embedded.h's table to standard output.  The bytes themselves are pulled in by the assembler (.incbin),
# so a large file costs no compile time.  The same arguments in any order, and the same files, give the same text.
#
#   server/embed.sh web/index.html=web/index.html schema/job.json=build/gen/job.schema.json > embedded.c
#
# Each argument is NAME=PATH: the path by which the program finds the file, and where the file lies now.
set -eu
export LC_ALL=C

media_type() {
	case $1 in
	*.html) echo 'text/html; charset=utf-8' ;;
	*.css) echo 'text/css; charset=utf-8' ;;
	*.js | *.mjs) echo 'text/javascript; charset=utf-8' ;;
	*.json | *.map) echo 'application/json' ;;
	*.webmanifest) echo 'application/manifest+json' ;;
	*.svg) echo 'image/svg+xml' ;;
	*.png) echo 'image/png' ;;
	*.ico) echo 'image/x-icon' ;;
	*.woff2) echo 'font/woff2' ;;
	*.md | *.txt | *.sql | *.lua) echo 'text/plain; charset=utf-8' ;;
	*) echo 'application/octet-stream' ;;
	esac
}

cat <<'END'
/* Made by server/embed.sh. */
#include <stdlib.h>
#include <string.h>
#include "embedded.h"

#define EMBED(symbol, file)                                             \
	__asm__(".pushsection .rodata\n\t.balign 16\n" #symbol ":\n\t"  \
		".incbin \"" file "\"\n\t.byte 0\n\t.popsection\n");    \
	extern const unsigned char symbol[] __attribute__((visibility("hidden")))

END

list=$(for pair in "$@"; do printf '%s\n' "$pair"; done | sort -u -t= -k1,1)
printf '%s\n' "$list" | {
	n=0
	rows=
	while IFS= read -r pair; do
		[ -n "$pair" ] || continue
		name=${pair%%=*}
		path=${pair#*=}
		case $pair in
		*[\"\\]*) echo "embed.sh: $pair: quotes and backslashes cannot stand in a path" >&2 && exit 1 ;;
		esac
		[ -f "$path" ] || { echo "embed.sh: $path is not a file" >&2 && exit 1; }
		printf 'EMBED(embedded_data_%d, "%s");\n' "$n" "$path"
		rows="$rows	{ \"$name\", \"$(media_type "$name")\", embedded_data_$n, $(($(wc -c <"$path"))) },
"
		n=$((n + 1))
	done
	# The row after the last keeps the array from being empty.
	printf '\nconst struct embedded_file embedded_files[] = {\n%s	{ 0 },\n};\n' "$rows"
	printf 'const size_t n_embedded_files = %d;\n' "$n"
}

cat <<'END'

static int by_path(const void *path, const void *file)
{
	return strcmp(path, ((const struct embedded_file *)file)->path);
}

const struct embedded_file *embedded_find(const char *path)
{
	return bsearch(path, embedded_files, n_embedded_files, sizeof embedded_files[0], by_path);
}
END
