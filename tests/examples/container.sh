#!/bin/sh
# The image, used as its administrator would: start it hardened, sign in with the admin token, train the example, restart the
# container in the middle, and see the job go on from its checkpoint.  Needs an image (make docker) and docker, or DOCKER=podman.
set -eu
IMAGE=${1:-tandem} DOCKER=${DOCKER:-docker} PORT=${PORT:-18080} EXAMPLE=${EXAMPLE:-fashion-cnn}
NETWORK=${NETWORK:--p 127.0.0.1:$PORT:8080} # NETWORK=--network=host where there is no bridge; it listens on PORT itself then
name=tandem-test-$$ volume=$(mktemp -d)
T=http://127.0.0.1:$PORT/api/v1

cleanup() {
	$DOCKER rm -f "$name" >/dev/null 2>&1 || true
	rm -rf "$volume"
}
trap cleanup EXIT INT TERM
fail() { echo "container: $*" >&2 && $DOCKER logs "$name" 2>&1 | tail -n 20 >&2 && exit 1; }
field() { node -pe "JSON.parse(require('fs').readFileSync(0))$1"; }
api() { curl -s --max-time 20 -H "Authorization: Bearer $token" "$@"; }
ready() {
	tries=0
	until curl -sf -o /dev/null "http://127.0.0.1:$PORT/healthz"; do [ $((tries += 1)) -le 100 ] || fail "it does not answer"; sleep 0.1; done
}

curl -s -o /dev/null "http://127.0.0.1:$PORT/" && echo "container: something else listens on port $PORT; set PORT" >&2 && exit 1
chmod 0777 "$volume" # whatever user the container maps to, its own folder below stays private
case $NETWORK in *host*) NETWORK="$NETWORK --env TANDEM_LISTEN=0.0.0.0:$PORT" ;; esac
# shellcheck disable=SC2086 # several options
$DOCKER run -d --name "$name" $NETWORK --read-only --tmpfs /tmp:size=64m --cap-drop ALL --security-opt no-new-privileges \
	-v "$volume:/data" "$IMAGE" >/dev/null
ready
[ "$(curl -s -o /dev/null -w '%{http_code}' "$T/jobs")" = 401 ] || fail "it serves jobs without a token"
token=$($DOCKER exec "$name" cat /data/admin-token)
[ "$($DOCKER exec "$name" id -u)" != 0 ] || fail "it runs as root"
$DOCKER exec "$name" tandemd health || fail "its health check fails"

id=$(api "$T/examples/$EXAMPLE" | api --json @- "$T/jobs" | field .id)
echo "job $id"
until [ "$(api "$T/jobs/$id" | field '.progress?.step ?? 0')" -ge 200 ]; do sleep 0.5; done
before=$(api "$T/jobs/$id" | field .progress.step)
$DOCKER restart --time 20 "$name" >/dev/null
ready
while :; do
	state=$(api "$T/jobs/$id" | field .state)
	case $state in succeeded) break ;; failed | cancelled | timed_out) fail "the job has $state" ;; esac
	sleep 1
done
job=$(api "$T/jobs/$id")
[ "$(printf '%s' "$job" | field .attempt)" -ge 2 ] || fail "the job was not interrupted: restart sooner"
echo "restarted at step $before; succeeded with test accuracy $(printf '%s' "$job" | field '.summary["test/accuracy"]')"
$DOCKER stop --time 20 "$name" >/dev/null
[ "$($DOCKER inspect -f '{{.State.ExitCode}}' "$name")" = 0 ] || fail "it did not stop cleanly"
echo "container: all is well"
