#!/bin/sh
# make lint: what a reviewer should never have to say.  Every gate is run and told of; one that fails makes the exit code 1.
# shellcheck disable=SC2046,SC2086,SC2317 # lists of files are meant to be split, and gates are called by name
set -u
cd "$(dirname "$0")/.." || exit
B=${B:-build}
tests/install.sh lint || exit 1

failed=0
gate() { # NAME COMMAND...: quiet when all is well
	name=$1
	shift
	if output=$("$@" 2>&1); then
		echo "ok      $name"
	else
		echo "FAILED  $name"
		printf '%s\n' "$output" | head -n 60
		failed=1
	fi
}
nothing() { # COMMAND...: all is well when it finds nothing
	! "$@"
}

c_sources=$(git ls-files '*.c')
c_files=$(git ls-files '*.c' '*.h')
scripts=$(git ls-files '*.sh' .ci/run)
modules=$(git ls-files 'web/*.js' 'web/*.mjs' 'tests/*.mjs' 'tests/*.js')

# Calls that have a safe sister here: buf_printf and snprintf, json getters and strtoll with its checks, gmtime_r, posix_spawn.
banned() {
	nothing grep -nE '\b(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atof|gets|system|popen|tmpnam|mktemp|localtime|gmtime|asctime|ctime|alloca)\(' $c_sources
}

# Outside engine/base memory goes through mem.h, which counts it and can make it fail.  What a library allocated, its own function frees.
raw_memory() {
	nothing grep -nE '(^|[^A-Za-z0-9_.>])(malloc|calloc|realloc|free|strdup|strndup|asprintf)\(' $(printf '%s\n' $c_sources | grep -v -e '^engine/base/' -e '^tests/')
}

# The op table and the builders' prototypes are read from column 1.
column_one() {
	nothing grep -nE '^[[:space:]]+TD_(OP|API)\b' engine/ops/*.c
}

# Arrows point one way (README, Architecture): FOLDER must not include what matches PATTERN.
arrow() { # FOLDER PATTERN
	nothing grep -rnE "^#include \"($2)" "$1" --include='*.[ch]'
}
arrows() {
	arrow engine '(server|store|http|sched|worker|api|proto|control|config|embedded)[/.]' &&
		arrow engine/base '(core|ops|kernels|passes|nn|data|io)/|td\.h' &&
		arrow engine/kernels '(core|ops|passes|nn|data|io)/|td\.h' &&
		arrow engine/core '(ops|nn|data|io)/' &&
		arrow server/store '(http|api|worker|fetch)/' &&
		arrow server/sched '(store|http|api|worker|fetch)/' &&
		arrow server/http '(api|worker|fetch)/' &&
		for folder in server/http server/api server/store server/sched server/fetch; do
			arrow $folder '(core|ops|kernels|passes|nn|data|io)/|td\.h' || return 1
		done &&
		one_user '<microhttpd\.h>' server/http && one_user '<sqlite3\.h>' server/store && one_user '<curl/curl\.h>' server/fetch &&
		one_user '<cjson/cJSON\.h>' engine/base
}
one_user() { # HEADER FOLDER: nobody else includes it
	others=$(grep -rlE "^#include $1" engine server --include='*.[ch]' | grep -v "^$2/")
	[ -z "$others" ] || { echo "only $2 includes $1, but also: $others" && false; }
}

# A crash in training must not take the daemon along.
daemon_is_free_of_the_engine() {
	nothing grep -E 'blas|dnnl|gomp|lapack' <<END && nothing grep -E ' (cblas_|td_apply|td_session)' <<END2
$(ldd "$B/tandemd")
END
$(nm "$B/tandemd")
END2
}

short_files() { # style: past 600 lines, look for the second noun
	wc -l $c_files $modules | awk '$1 > 600 && $2 != "total" { print $2 " has " $1 " lines"; bad = 1 } END { exit bad }'
}

javascript() { for m in $modules; do node --check "$m" || return 1; done; }

tidy() {
	printf '%s\n' $c_sources | grep -v '^tests/' | xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p . 2>/dev/null
}

# Left out: cppcheck 2.10 does not know that TD_ASSERT does not return, takes every loop for one that may not run, and cannot read
# a compound literal behind "?"; the order of a test and an index is the compiler's to warn of.
check() {
	cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 --library=posix -D_GNU_SOURCE -DTD_REAL=32 \
		--suppress=unknownMacro --suppress=readdirCalled --suppress=legacyUninitvar --suppress=nullPointerRedundantCheck \
		--suppress=invalidFunctionArg --suppress=internalAstError --suppress=arrayIndexThenCheck -Iengine -Iserver -I"$B/gen" engine server
}

gate "layout (clang-format)" clang-format --dry-run -Werror $c_files
gate "forbidden calls" banned
gate "memory through mem.h" raw_memory
gate "ops and builders in column 1" column_one
gate "includes point one way" arrows
gate "the daemon is free of the engine" daemon_is_free_of_the_engine
gate "files of at most 600 lines" short_files
gate "shell (shellcheck)" shellcheck $scripts
gate "JavaScript parses" javascript
gate "cppcheck" check
gate "clang-tidy" tidy
exit $failed
