"""A client for Tandem, the deep-learning training server: one file, standard library only, Python 3.9 or later.

    from tandem import Tandem
    t = Tandem("http://127.0.0.1:8080")              # token="td_...", or TANDEM_TOKEN in the environment
    job = t.submit({"data": ..., "model": ..., "loss": "cross_entropy"}).wait()
    print(job.report()["splits"]["test"], job.predict("shoe.png"))

    with t.external("my own loop", args={"lr": 0.1}) as run:
        run.log(step, loss=loss)
"""
import hashlib, io, json, math, os, struct, sys, threading, time, uuid, zipfile
import http.client, urllib.error, urllib.parse, urllib.request

TERMINAL = ("succeeded", "failed", "cancelled", "timed_out")
KINDS = {"?": "|b1", "B": "|u1", "b": "|i1", "h": "<i2", "H": "<u2", "i": "<i4", "I": "<u4", "l": "<i8", "q": "<i8", "f": "<f4", "d": "<f8"}
FILES = (".png", ".jpg", ".jpeg", ".npy")  # what predict takes by its path


class TandemError(Exception):
    """A refusal: status, and problem as the server sent it (RFC 9457)."""

    def __init__(self, status, problem):
        self.status, self.problem = status, problem
        lines = [problem.get("detail") or problem.get("title") or "HTTP %d" % status]
        lines += ["  %s%s: %s" % (e.get("pointer") or "(document)", " (line %d)" % e["line"] if e.get("line") else "", e.get("detail"))
                  for e in problem.get("errors", [])]
        super().__init__("\n".join(lines))


class JobFailed(Exception):
    """A job that was waited for did not succeed; its document is in .job."""

    def __init__(self, job):
        self.job = job
        super().__init__("job %s %s: %s" % (job["id"], job["state"], (job.get("error") or {}).get("detail") or job.get("detail") or job.get("reason")))


class Tandem:
    """The server at URL.  Requests that failed on the way are sent again, with a key that makes this harmless."""

    def __init__(self, url="http://127.0.0.1:8080", token=None, retries=5):
        self.url, self.token, self.retries = url.rstrip("/"), token or os.environ.get("TANDEM_TOKEN"), retries

    def request(self, method, path, body=None, headers=None, timeout=90):
        """The bytes that METHOD at PATH (below /api/v1) answers.  BODY: bytes, an open file, or else JSON."""
        headers = {"Accept": "*/*", **(headers or {})}
        if body is not None and not isinstance(body, bytes) and not hasattr(body, "read"):
            body = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        if method == "POST":
            headers["Idempotency-Key"] = uuid.uuid4().hex
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        for attempt in range(self.retries + 1):
            pause = min(0.25 * 2 ** attempt, 10)
            if hasattr(body, "seek"):
                body.seek(0)
            try:
                q = urllib.request.Request(self.url + "/api/v1" + path, data=body, headers=headers, method=method)
                with urllib.request.urlopen(q, timeout=timeout) as r:
                    return r.read()
            except urllib.error.HTTPError as e:
                if e.code not in (429, 503) or attempt == self.retries:
                    raise TandemError(e.code, json.loads(e.read() or b"{}")) from None
                pause = float(e.headers.get("Retry-After") or pause)
            except (OSError, http.client.HTTPException) as e:
                if attempt == self.retries:
                    raise TandemError(0, {"detail": "%s cannot be reached: %s" % (self.url, e)}) from None
            time.sleep(pause)

    def json(self, method, path, body=None, **options):
        """The same, parsed."""
        text = self.request(method, path, body, **options)
        return json.loads(text) if text else None

    def submit(self, spec):
        """Post a job; a Job."""
        return Job(self, self.json("POST", "/jobs", spec))

    def job(self, id):
        """The Job with this id."""
        return Job(self, self.json("GET", "/jobs/" + _quote(id)))

    def jobs(self, **filters):
        """Jobs, newest first, as documents: jobs(project="mnist", sort="-test/accuracy", columns="/optimizer/lr")."""
        return self.json("GET", "/jobs" + _query(filters))["items"]

    def sweep(self, base, space, metric, goal, wait=True, progress=True, **rest):
        """Post a sweep and, unless told otherwise, wait for its end; its document.  REST: strategy, max_jobs, parallel ..."""
        sweep = self.json("POST", "/sweeps", {"base": base, "space": space, "metric": metric, "goal": goal, **rest})
        while wait and sweep["state"] == "running":
            sweep = self.json("GET", "/sweeps/%s?wait=5" % sweep["id"])
            text = "%s: %s, best %s %s" % (sweep["name"], json.dumps(sweep["counts"]), metric, (sweep["best"] or {}).get("value"))
            _line(progress, text, sweep["state"] != "running")
        return sweep

    def upload(self, name, data, format=None, wait=True):
        """A dataset NAME from DATA: a path or several, or arrays {"x": ..., "y": ...} (nested lists, NumPy, tensors).
        FORMAT: as in POST /datasets, where it is not found out.  Its document, when it is ready.  What is there is not sent again."""
        document, base = {"name": name, **({"format": format} if format else {})}, "/datasets/" + _quote(name)
        there = {f["name"]: f.get("sha256") for f in self.json("POST", "/datasets", document)["files"]}
        paths = [data] if isinstance(data, (str, os.PathLike)) else data
        for path in [name + ".npz"] if isinstance(data, dict) else paths:
            with io.BytesIO(_npz(data)) if isinstance(data, dict) else open(path, "rb") as f:
                file, sha256 = os.path.basename(path), hashlib.sha256()
                for part in iter(lambda: f.read(1 << 20), b""):
                    sha256.update(part)
                if there.get(file) != sha256.hexdigest():
                    self.request("PUT", "%s/files/%s" % (base, _quote(file)), f, timeout=600,
                                 headers={"Content-Type": "application/octet-stream", "Content-Length": str(f.tell())})
        dataset = self.json("POST", "/datasets", document)  # the files are complete
        while wait and dataset["state"] not in ("ready", "failed", "cancelled"):
            dataset = self.json("GET", base + "?wait=30")
        if dataset["state"] == "failed":
            raise TandemError(422, dataset["error"] or {})
        return dataset

    def external(self, name, **spec):
        """A job whose numbers are logged from here: a Run.  SPEC: project, tags, notes, args, timeout_s."""
        return Run(self, self.json("POST", "/jobs", {"kind": "external", "name": name, **spec}))


class Job:
    """One job; .data is its document as last read."""

    def __init__(self, tandem, data):
        self.tandem, self.data, self.id = tandem, data, data["id"]
        self.path = "/jobs/" + self.id

    def refresh(self):
        """Read the document again; the Job."""
        self.data = self.tandem.json("GET", self.path)
        return self

    def wait(self, progress=True, timeout=None):
        """Wait until the job has ended, with a line of progress on standard error.  Not succeeded: JobFailed."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        while self.data["state"] not in TERMINAL:
            self.data = self.tandem.json("GET", self.path + "?wait=2")
            p, values = self.data["progress"], self.data["summary"]
            shown = ["%s %.4g" % (k, v) for k, v in values.items() if k.startswith(("train/loss", "val/")) and isinstance(v, float)]
            _line(progress, "%s: %s %d/%d %s" % (self.data["name"], self.data["state"], p["step"], p["n_steps"], ", ".join(shown)), self.data["state"] in TERMINAL)
            if time.monotonic() > end and self.data["state"] not in TERMINAL:
                raise TimeoutError("job %s is %s after %g s" % (self.id, self.data["state"], timeout))
        if self.data["state"] != "succeeded":
            raise JobFailed(self.data)
        return self

    def cancel(self):
        """Stop it for good."""
        self.data = self.tandem.json("POST", self.path + "/cancel")
        return self

    def fork(self, step="last", set=None, name=None):
        """A new Job from a checkpoint ("best", "last", "step:N") with fields SET: {"/optimizer/lr": 1e-4}."""
        return Job(self.tandem, self.tandem.json("POST", self.path + "/fork", {"from": step, "set": set or {}, **({"name": name} if name else {})}))

    def series(self):
        """The series that there are, with count, last, min and max."""
        return self.tandem.json("GET", self.path + "/metrics")["items"]

    def metrics(self, name):
        """Every point of a series in columns: {"step": [...], "value": [...]}, ready for a plot."""
        text = self.tandem.request("GET", self.path + "/metrics" + _query({"name": name}), headers={"Accept": "text/csv"}).decode()
        rows = [line.split(",") for line in text.splitlines()[1:]]
        return {"step": [int(r[0]) for r in rows], "value": [float(r[2]) for r in rows]}

    def report(self):
        """The results on train, validation and test."""
        return self.tandem.json("GET", self.path + "/report")

    def download(self, name="model.safetensors", path=None):
        """Save a file of the job as PATH (default: its own name); the path."""
        content = self.tandem.request("GET", "%s/artifacts/%s" % (self.path, _quote(name)), timeout=600)
        with open(path or name, "wb") as f:
            f.write(content)
        return path or name

    def predict(self, inputs, **options):
        """What the model says of INPUTS: a list (of rows, texts, arrays), an array, or the path of a picture or NPY file.
        OPTIONS: checkpoint="best"|"last", top=5, outputs=1.  The list of predictions."""
        body = {"inputs": inputs if isinstance(inputs, (list, tuple)) else [inputs]}
        if isinstance(inputs, (str, os.PathLike)) and str(inputs).lower().endswith(FILES):
            with open(inputs, "rb") as f:
                body = f.read()
        elif not isinstance(inputs, (str, dict, list, tuple)):
            body = npy(inputs)
        return self.tandem.json("POST", self.path + "/predict" + _query(options), body)["predictions"]


class Run(Job):
    """An external job.  Points are sent in batches from a thread of their own; leaving a with block flushes and ends it."""

    def __init__(self, tandem, data, every=1.0):
        super().__init__(tandem, data)
        self.points, self.lock, self.error, self.every = [], threading.Lock(), None, every
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def log(self, step, **values):
        """Values at a step: run.log(10, loss=0.5), or run.log(10, **{"val/accuracy": 0.9})."""
        if self.error:
            raise self.error
        now = int(time.time() * 1000)
        with self.lock:
            self.points += [{"name": k, "step": int(step), "value": _number(v), "time": now} for k, v in values.items()]

    def flush(self):
        """Send what was logged; raises what went wrong."""
        with self.lock:
            while self.points and not self.error:
                try:
                    self.tandem.json("POST", self.path + "/metrics", {"points": self.points[:5000]})
                    del self.points[:5000]
                except TandemError as e:
                    self.error = e
        if self.error:
            raise self.error

    def _work(self):
        while not self.over.wait(self.every) and not self.error:
            try:
                self.flush()
            except TandemError:
                pass  # the next log() or close() raises it

    def close(self, state="succeeded", detail=None):
        """Send the rest and say how it ended."""
        self.over.set()
        self.thread.join()
        self.flush()
        self.data = self.tandem.json("POST", self.path + "/finish", {"state": state, **({"detail": detail} if detail else {})})
        return self

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            self.close(*(("failed", "%s: %s" % (kind.__name__, str(value)[:1000])) if kind else ()))
        except TandemError:
            if not kind:  # else what happened in the block matters more
                raise


def npy(array):
    """An array as the bytes of an NPY file: nested lists, NumPy's, a tensor, or a picture of Pillow's."""
    for convert in ("detach", "cpu", "numpy"):  # torch, and others that follow it
        array = getattr(array, convert)() if hasattr(array, convert) else array
    if isinstance(array, (list, tuple, int, float)):
        shape, flat = _flatten(array)
        kind = "q" if all(isinstance(v, int) for v in flat) else "d"
        content = struct.pack("<%d%s" % (len(flat), kind), *flat)
    else:
        try:
            view = memoryview(array)
            kind, shape, content = view.format, view.shape, view.tobytes()
        except TypeError:
            about = array.__array_interface__
            kind, shape, content = about["typestr"], tuple(about["shape"]), bytes(about["data"])
    header = repr({"descr": KINDS.get(kind, kind), "fortran_order": False, "shape": shape})
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + content


def _npz(arrays):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        for name, array in arrays.items():
            z.writestr(zipfile.ZipInfo(name + ".npy"), npy(array))  # without the time: the same arrays are the same file
    return out.getvalue()


def _flatten(v):
    if not isinstance(v, (list, tuple)):
        return (), [v]
    parts = [_flatten(child) for child in v]
    if any(p[0] != parts[0][0] for p in parts):
        raise ValueError("the lists of an array have different lengths")
    return (len(v),) + (parts[0][0] if parts else ()), [x for p in parts for x in p[1]]


def _number(v):
    v = float(v)  # also of arrays and tensors with one element
    return v if math.isfinite(v) else "NaN" if v != v else "Infinity" if v > 0 else "-Infinity"


def _quote(name):
    return urllib.parse.quote(str(name), safe="")


def _query(parameters):
    return "?" + urllib.parse.urlencode(parameters) if parameters else ""


def _line(wanted, text, last):
    if wanted:
        print("\r%-110s" % text[:110], end="\n" if last else "", file=sys.stderr, flush=True)
