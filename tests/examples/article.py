#!/usr/bin/env python3
"""The article's pipeline, start to end, against a running Tandem: download, load and preprocess, model, loss and optimizer,
metric, train, report on train and test; a grid of samples before, a grid of predictions after; save, load, predict.

    python3 tests/examples/article.py [--csv] [--samples N] [http://127.0.0.1:8080]

Fashion-MNIST becomes what many labs have: PNG files in class folders (or, with --csv, PNG files and a CSV of paths and labels),
in one archive, which is uploaded.  Standard library only; the client is the server's own tandem.py.  Writes article.html beside
the weights in the present folder."""
import argparse, gzip, io, json, os, struct, sys, tarfile, urllib.request, zlib

SOURCE = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
INSTALLED = "/usr/share/datasets/fashion-mnist/"
CLASSES = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


def idx(name, count):
    """The first COUNT entries of an IDX file, as one bytes object each."""
    here = os.path.join(INSTALLED, name)
    packed = open(here, "rb").read() if os.path.exists(here) else urllib.request.urlopen(SOURCE + name).read()
    data = gzip.decompress(packed)
    rank = data[3]
    sizes = struct.unpack(">%dI" % rank, data[4:4 + 4 * rank])
    each = 1
    for size in sizes[1:]:
        each *= size
    first = 4 + 4 * rank
    return [data[first + i * each:first + (i + 1) * each] for i in range(min(count, sizes[0]))]


def png(pixels, width=28):
    """Grey pixels as a PNG file."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    rows = b"".join(b"\0" + pixels[y:y + width] for y in range(0, len(pixels), width))
    head = struct.pack(">IIBBBBB", width, len(pixels) // width, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def archive(path, with_csv, samples):
    """Write the archive; a picture of the test part."""
    rows, kept = ["path,label,split"], None
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        def add(name, content):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        for part, prefix, count in (("train", "train", samples), ("test", "t10k", max(samples // 6, 10))):
            pictures, labels = idx(prefix + "-images-idx3-ubyte.gz", count), idx(prefix + "-labels-idx1-ubyte.gz", count)
            for i, (pixels, label) in enumerate(zip(pictures, labels)):
                name = "%s%05d.png" % ("%s/%s/" % (part, CLASSES[label[0]]) if not with_csv else "pictures/%s-" % part, i)
                kept = png(pixels)
                add(name, kept)
                rows.append("%s,%s,%s" % (name, CLASSES[label[0]], part))
        if with_csv:
            add("labels.csv", "\n".join(rows).encode() + b"\n")
    return kept


def grid(title, cells):
    """A table of pictures with words below them."""
    figures = "".join('<figure><img src="data:image/png;base64,%s"><figcaption>%s</figcaption></figure>' % c for c in cells)
    return "<h2>%s</h2><div>%s</div>" % (title, figures)


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--csv", action="store_true", help="a CSV of paths and labels instead of class folders")
    options.add_argument("--samples", type=int, default=60000, help="training pictures to take")
    options.add_argument("url", nargs="?", default="http://127.0.0.1:8080")
    o = options.parse_args()

    # the client, as a notebook would get it: curl -O $URL/api/v1/tandem.py
    module = {"__name__": "tandem"}
    exec(urllib.request.urlopen(o.url + "/api/v1/tandem.py").read(), module)
    t = module["Tandem"](o.url)

    example = "article-csv" if o.csv else "article-folders"
    spec = t.json("GET", "/examples/" + example)
    name = spec["data"]["dataset"]
    picture = archive(name + ".tar.gz", o.csv, o.samples)
    dataset = t.upload(name, name + ".tar.gz")
    print("dataset %s: %s, %s" % (name, dataset["kind"], dataset["samples"]))
    before = [(s["image"]["png"], s["label"]) for s in t.json("GET", "/datasets/" + name)["summary"]["samples"] if "image" in s]

    job = t.submit(spec).wait(progress=sys.stderr.isatty())
    report = job.report()
    for part in ("train", "validation", "test"):
        print("%-10s accuracy %.4f" % (part, report["splits"][part]["accuracy"]["value"]))
    after = [(s["image"]["png"], "%s &rarr; %s" % (report["classes"][s["label"]], report["classes"][s["prediction"]]))
             for s in report["samples"] if "image" in s][:25]
    with open("article.html", "w") as f:
        f.write("<!doctype html><meta charset=utf-8><style>div{display:flex;flex-wrap:wrap}figure{margin:6px;width:90px;font:11px sans-serif}"
                "img{width:84px;image-rendering:pixelated}</style>" + grid("Samples", before[:25]) + grid("Label &rarr; prediction", after))

    weights = job.download("model.safetensors", name + ".safetensors")
    with open(weights, "rb") as f:
        t.request("PUT", "/models/" + name, f, headers={"Content-Type": "application/octet-stream", "Content-Length": str(os.path.getsize(weights))})
    again = t.submit({**spec, "name": example + "-loaded", "init_from": {"model": name}, "train": {"steps": 1}, "optimizer": {"type": "sgd", "lr": 0}}).wait(progress=False)
    loaded = again.report()["splits"]["test"]["accuracy"]["value"]
    print("loaded     accuracy %.4f on test, without training" % loaded)
    said = t.json("POST", job.path + "/predict", picture, headers={"Content-Type": "image/png"})["predictions"][0]
    print("predict    %s (%.3f)" % (said["label"], said["probability"]))
    if abs(loaded - report["splits"]["test"]["accuracy"]["value"]) > 1e-12:
        sys.exit("the loaded weights are not the saved ones")


if __name__ == "__main__":
    main()
