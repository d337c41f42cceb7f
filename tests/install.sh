#!/bin/sh
# Installs what is missing of the groups named as arguments (build, demo, test, lint, fuzz, peers), from Debian 12 alone.  This is the one
# list of what Tandem needs and why.  When all is there it says nothing and asks nobody, so a second run needs no network.
set -eu

# group  package                   found by              reason
list='
build   gcc                        command:gcc           the compiler
build   libc6-dev                  deb                   the C library'\''s headers
build   libmicrohttpd-dev          deb                   the HTTP server in tandemd
build   libcjson-dev               deb                   JSON
build   libsqlite3-dev             deb                   the store
build   libcurl4-openssl-dev       deb                   fetching datasets
build   nettle-dev                 deb                   SHA-256 of weights, files and tokens
build   libopenblas-pthread-dev    deb                   matrix products in tandem-worker
build   libdnnl-dev                deb                   convolutions in tandem-worker (oneDNN)
build   libarchive-dev             deb                   datasets in tar and zip files, compressed files
build   libjpeg62-turbo-dev        deb                   JPEG pictures of datasets
build   libpng-dev                 deb                   PNG pictures of datasets, and those of reports
build   nodejs                     command:node          npm, and the tests in JavaScript
build   npm                        command:npm           the packages of package-lock.json: charts and views of the dashboard
demo    curl                       command:curl          posting a job as a user would
demo    dataset-fashion-mnist      deb                   60,000 training images (else tandemd fetches them)
test    curl                       command:curl          tests of what the README shows
test    dataset-fashion-mnist      deb                   the data set of the tests
test    libcmocka-dev              deb                   unit tests
test    zlib1g-dev                 deb                   compressed files and checksums in unit tests
test    chromium                   command:chromium      the browser of the end-to-end test
test    strace                     command:strace        proof that a job is on disk before its answer
lint    clang-format               command:clang-format  layout
lint    clang-tidy                 command:clang-tidy    static checks
lint    cppcheck                   command:cppcheck      static checks
lint    shellcheck                 command:shellcheck    shell scripts
fuzz    clang                      command:clang         the compiler that has libFuzzer
fuzz    zlib1g-dev                 deb                   checksums that let changed pictures through
fuzz    libclang-rt-14-dev         deb                   libFuzzer and its sanitizer
peers   python3-venv               deb                   a place for PyTorch, to measure against
'

present() { # PACKAGE FOUND_BY
	case $2 in
	command:*) command -v "${2#command:}" >/dev/null ;;
	*) [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ;;
	esac
}

missing=
for group in "$@"; do
	while read -r of package found_by reason; do
		case " $missing " in *" $package "*) continue ;; esac
		if [ "$of" = "$group" ] && ! present "$package" "$found_by"; then
			printf 'installing %-24s %s\n' "$package" "($reason)"
			missing="$missing $package"
		fi
	done <<END
$list
END
done
[ -n "$missing" ] || exit 0

command -v apt-get >/dev/null || {
	echo "install.sh: this is no Debian; please install by hand:$missing" >&2
	exit 1
}
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
$as_root apt-get update -qq
# shellcheck disable=SC2086 # the list of packages is meant to be split
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
