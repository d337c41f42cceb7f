#!/bin/sh
# make demo: what the README's quick start says, done for real.  Starts the daemon in the background, posts the example as curl
# would, follows it to its end, and leaves the daemon running so that the dashboard can be looked at.  `demo.sh stop` stops it.
set -eu
cd "$(dirname "$0")/../.."
B=${B:-build} DATA=${DATA:-.data} EXAMPLE=${EXAMPLE:-fashion-cnn}
pid_file=$DATA/demo.pid url_file=$DATA/demo.url log_file=$DATA/demo.log

running() { # the daemon that an earlier demo left, and not another process with its number
	[ -s "$pid_file" ] && { tr '\0' ' ' <"/proc/$(cat "$pid_file")/cmdline"; } 2>/dev/null | grep -q "tandemd.*$DATA"
}

stop() {
	if running; then
		pid=$(cat "$pid_file")
		kill -TERM "$pid"
		tries=0
		while running && [ $((tries += 1)) -le 150 ]; do sleep 0.1; done
		running && echo "the daemon (pid $pid) has not left within 15 s; it may be checkpointing" >&2 && exit 1
		echo "stopped; everything is kept in $DATA"
	else
		echo "no demo is running"
	fi
	rm -f "$pid_file" "$url_file"
}

start() { # LISTEN
	mkdir -p "$DATA"
	: >"$log_file"
	setsid "$B/tandemd" --listen "$1" --data-dir "$DATA" </dev/null >>"$log_file" 2>&1 &
	echo $! >"$pid_file"
	tries=0
	while [ $((tries += 1)) -le 100 ]; do
		url=$(sed -n 's,^listening on \(http://.*\)$,\1,p' "$log_file")
		[ -n "$url" ] && echo "$url" >"$url_file" && return 0
		kill -0 "$(cat "$pid_file")" 2>/dev/null || break
		sleep 0.1
	done
	rm -f "$pid_file"
	return 1
}

port_free() { ! curl -s -o /dev/null --max-time 1 "http://127.0.0.1:$1/"; }

# field EXPRESSION: of the JSON on standard input; nothing where there is no such value.
field() { node -e 'try { const v = JSON.parse(require("fs").readFileSync(0))'"$1"'; if (v != null) console.log(v) } catch {}'; }

[ "${1:-}" = stop ] && stop && exit 0

if running; then
	echo "tandemd is running already, at $(cat "$url_file")"
elif { port_free 8080 && start 127.0.0.1:8080; } || start 127.0.0.1:0; then
	echo "tandemd is listening on $(cat "$url_file"), its data is in $DATA"
else
	echo "tandemd did not start; $log_file says:" >&2
	tail -n 20 "$log_file" >&2
	exit 1
fi
url=$(cat "$url_file")
T=$url/api/v1

echo "\$ curl -s $T/examples/$EXAMPLE | curl -s --json @- $T/jobs"
answer=$(curl -s "$T/examples/$EXAMPLE" | curl -s --json @- "$T/jobs")
id=$(printf '%s' "$answer" | field .id)
[ -n "$id" ] || { printf 'the job was not taken:\n%s\n' "$answer" >&2 && exit 1; }
echo "job $id; watch it live at $url/jobs/$id"

began=$(date +%s) state=
while :; do
	job=$(curl -s --max-time 10 "$T/jobs/$id") || { echo "tandemd does not answer; see $log_file" >&2 && exit 1; }
	# shellcheck disable=SC2016 # the $ are JavaScript's
	line=$(printf '%s' "$job" | node -e '
		const j = JSON.parse(require("fs").readFileSync(0)), p = j.progress ?? {}, s = j.summary ?? {};
		const n = (v) => typeof v === "number" ? v.toPrecision(4) : v;
		console.log([j.state, p.n_steps ? `step ${p.step}/${p.n_steps}` : "", s["train/loss"] != null ? `loss ${n(s["train/loss"])}` : "",
			s["val/accuracy"] != null ? `validation accuracy ${n(s["val/accuracy"])}` : ""].filter(Boolean).join("  "))')
	state=${line%% *}
	if [ -t 1 ]; then printf '\r\033[K%s' "$line"; elif [ "$line" != "${last:-}" ]; then
		[ $(($(date +%s) - ${shown:-0})) -ge 10 ] && echo "$line" && shown=$(date +%s)
		last=$line
	fi
	case $state in succeeded | failed | cancelled | timed_out) break ;; esac
	sleep 1
done
[ -t 1 ] && echo

if [ "$state" != succeeded ]; then
	echo "the job has $state:" >&2
	printf '%s' "$job" | field '.error?.detail' >&2
	curl -s "$T/jobs/$id/log" | tail -n 20 >&2
	exit 1
fi
echo "job $id succeeded after $(($(date +%s) - began)) s: test accuracy $(printf '%s' "$job" | field '.summary["test/accuracy"]')"
if [ -n "${CI:-}" ]; then
	stop
else
	echo "dashboard:  $url/jobs/$id"
	echo "weights:    curl -f -o $EXAMPLE.safetensors $T/jobs/$id/artifacts/model.safetensors"
	echo "stop it:    make stop"
fi
