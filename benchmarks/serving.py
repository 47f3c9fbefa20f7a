"""`hubel serve` under load, for long, and under attack, on loopback.

Claims, one flag each:
- same: every image has the same best class by `hubel predict` and over HTTP, alone and in forms of many.
- load: at twice its peak for two minutes there are only 200 and 503, no answer is wrong, the 99th percentile of the
  accepted is within 3 seconds, and a lone request is as quick as ever within 5 seconds after the end.
- memory: in 50,000 requests, one in fifty of them damaged, the server's memory grows by less than 1 MB in 10,000.
- attack: bodies of 10 GB (stated, chunked, as gzip, as a form), slow sockets, 100,000 parts, foreign Host and Origin,
  paths, images that unpack without end or to just below the limit, and wrong types get no 5xx but 503; the server
  lives, and its memory peaks less than 200 MB above where it was.

"load" first measures the peak with clients that wait for their answer, then sends at twice that rate whatever comes
back. Client and server share the machine. The data is looked for in ../shared/data, else images are made of noise.
Run: python benchmarks/serving.py [--only same,load,memory,attack] [--model efficientnet_lite0] [--seconds 120]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import io
import itertools
import json
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

DATA = Path(__file__).parents[1] / ".." / "shared" / "data"
CLIENTS = 200  # open connections, of the 256 that are served
WAITING = 12  # clients that the peak is measured with
LIMIT_S, RECOVERY_S, SLOPE_MB, GROWTH_MB = 3.0, 5.0, 1.0, 200.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="same,load,memory,attack")
    parser.add_argument("--model", default="efficientnet_lite0", help="for all but memory, which has a small network")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--requests", type=int, default=50_000)
    options = parser.parse_args()
    words = options.only.split(",")
    with tempfile.TemporaryDirectory() as folder:
        if "same" in words:
            same(options.model, Path(folder))
        if "load" in words:
            load(options.model, options.seconds)
        if "memory" in words:
            memory(small_model(Path(folder)), options.requests)
        if "attack" in words:
            attack(options.model)


# The server and its clients.


class Server:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port
        self.url = f"http://127.0.0.1:{port}"

    def rss(self) -> float:
        """Its memory now, in MB."""
        return self._status("VmRSS")

    def peak(self) -> float:
        """Its memory at most since `forget`, in MB."""
        return self._status("VmHWM")

    def forget(self) -> None:
        """Count the peak from now on."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def alive(self) -> bool:
        """Whether it says so."""
        with contextlib.suppress(OSError):
            return json.load(urllib.request.urlopen(f"{self.url}/healthz", timeout=10)) == {"status": "ok"}
        return False

    def _status(self, key: str) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(key)).split()[1]) * 1024 / 1e6


@contextmanager
def server(model: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "hubel", "serve", model, "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    said = process.stderr.readline()
    # What it complains of later belongs to the report.
    threading.Thread(target=lambda: sys.stdout.writelines(process.stderr or []), daemon=True).start()
    try:
        yield Server(process, int(said.partition(";")[0].rpartition(":")[2]))
    finally:
        process.send_signal(signal.SIGTERM)
        print(f"  ends with {process.wait(30)} after SIGTERM")


class Connection:
    """HTTP on one connection that stays open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes, path: str = "/v1/predict?top=1", kind: str = "image/jpeg") -> tuple[int, bytes]:
        """Status and body of the answer."""
        if self._streams is not None and self._streams[0].at_eof():
            self.close()  # the server has closed what was idle for too long, as it may between requests
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
        answer = await reader.readexactly(length)
        if b"connection: close" in lines:
            self.close()
        return int(lines[0].split()[1]), answer

    def close(self) -> None:
        """The next request gets a new one."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


def images() -> list[bytes]:
    files = sorted(DATA.glob("imagenet-100/*.JPEG")) + sorted(DATA.glob("clothing/test/*/*"))
    return [file.read_bytes() for file in files] or [noise(number, (500, 375)) for number in range(50)]


def noise(seed: int, size: tuple[int, int], kind: str = "JPEG") -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return encoded(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), kind)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def best(answer: bytes) -> list[str | None]:
    return [image["top"][0]["class"] if "top" in image else None for image in json.loads(answer)["images"]]


def verdict(claim: str, *, holds: bool) -> None:
    print(f"  {'holds' if holds else 'FAILS'}: {claim}", flush=True)


# The claims.


def same(model: str, folder: Path) -> None:
    print("same")
    data = images()
    for number, content in enumerate(data):
        (folder / f"{number:05}.jpg").write_bytes(content)
    command = [sys.executable, "-m", "hubel", "predict", model, str(folder), "--jsonl", "--top", "1"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    by_cli = [row["class"] for row in sorted(map(json.loads, lines), key=lambda row: row["path"])]
    with server(model) as running:

        async def ask() -> tuple[list[str | None], list[str | None]]:
            connection = Connection(running.port)
            alone = [best((await connection.post(content))[1])[0] for content in data]
            many: list[str | None] = []
            for start in range(0, len(data), 8):
                body = form(data[start : start + 8])
                many += best((await connection.post(body, kind="multipart/form-data; boundary=b0undary"))[1])
            connection.close()
            return alone, many

        alone, many = asyncio.run(ask())
    differ = sum(cli != one or cli != other for cli, one, other in zip(by_cli, alone, many, strict=True))
    verdict(f"{differ} of {len(data)} images have another best class over HTTP", holds=not differ)


def form(files: list[bytes]) -> bytes:
    head = b'--b0undary\r\nContent-Disposition: form-data; name="image"; filename="x.jpg"\r\n\r\n'
    return b"".join(head + file + b"\r\n" for file in files) + b"--b0undary--\r\n"


def load(model: str, seconds: float) -> None:
    print("load")
    data = images()[:100]
    with server(model) as running:
        peak, truth = asyncio.run(measured_peak(running, data))
        print(f"  peak {peak:.1f} images/s with {WAITING} clients that wait")
        before = asyncio.run(lone(running, data[0]))
        statuses, wrong, accepted, unsent = asyncio.run(overload(running, data, truth, 2 * peak, seconds))
        ended, after = time.monotonic(), 0.0
        while (after := asyncio.run(lone(running, data[0]))) > 2 * before + 0.05 and time.monotonic() - ended < 30:
            pass
        recovery = time.monotonic() - ended
    cuts = statistics.quantiles(accepted, n=100)
    rate = statuses[200] / seconds
    print(f"  {2 * peak:.1f} requests/s for {seconds:.0f} s: {dict(statuses)}, unsent {unsent}, {rate:.1f} answered")
    print(f"  accepted: median {cuts[49]:.3f} s, p99 {cuts[98]:.3f} s, most {max(accepted):.3f} s")
    print(f"  a lone request: {1000 * before:.0f} ms before, {1000 * after:.0f} ms after {recovery:.1f} s")
    verdict("only 200 and 503", holds=set(statuses) <= {200, 503} and not unsent)
    verdict(f"{wrong} wrong answers", holds=wrong == 0)
    verdict(f"p99 of the accepted within {LIMIT_S:g} s", holds=cuts[98] <= LIMIT_S)
    verdict(f"recovery within {RECOVERY_S:g} s", holds=recovery <= RECOVERY_S)


async def measured_peak(running: Server, data: list[bytes]) -> tuple[float, list[str | None]]:
    """Images a second, best of three rounds, and the right answers."""
    truth: list[str | None] = [None] * len(data)

    async def client(numbers: Iterator[int]) -> None:
        connection = Connection(running.port)
        for number in numbers:
            while (answered := await connection.post(data[number]))[0] == 503:
                await asyncio.sleep(0.1)
            truth[number] = best(answered[1])[0]
        connection.close()

    rates = []
    for _ in range(3):
        began, numbers = time.monotonic(), iter(range(len(data)))
        await asyncio.gather(*(client(numbers) for _ in range(WAITING)))
        rates.append(len(data) / (time.monotonic() - began))
    return max(rates), truth


async def lone(running: Server, image: bytes) -> float:
    """Seconds for one request; without end if it is not accepted."""
    connection, began = Connection(running.port), time.monotonic()
    status, _ = await connection.post(image)
    connection.close()
    return time.monotonic() - began if status == 200 else float("inf")


async def overload(
    running: Server, data: list[bytes], truth: list[str | None], rate: float, seconds: float
) -> tuple[Counter[int | str], int, list[float], int]:
    """Statuses, wrong answers, seconds of the accepted, and requests for which no client was free."""
    statuses: Counter[int | str] = Counter()
    accepted: list[float] = []
    wrong = unsent = 0
    free = [Connection(running.port) for _ in range(CLIENTS)]

    async def request(number: int) -> None:
        nonlocal wrong, unsent
        if not free:
            unsent += 1
            return
        connection, began = free.pop(), time.monotonic()
        try:
            status, answer = await connection.post(data[number])
        except (OSError, asyncio.IncompleteReadError) as error:
            connection.close()
            status, answer = f"{error!r:.60}", b""
        free.append(connection)
        statuses[status] += 1
        if status == 200:
            accepted.append(time.monotonic() - began)
            wrong += best(answer)[0] != truth[number]

    began, tasks = time.monotonic(), set()
    for count in itertools.count():
        if (due := began + count / rate) > began + seconds:
            break
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        tasks.add(task := asyncio.create_task(request(count % len(data))))
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    for connection in free:
        connection.close()
    return statuses, wrong, accepted, unsent


def small_model(folder: Path) -> str:
    """A small network with random weights."""
    import torch

    from hubel.data.preprocess import Preprocess
    from hubel.models.catalogue import build_model
    from hubel.weights.card import ModelCard
    from hubel.weights.model_file import save_model

    torch.manual_seed(0)
    card = ModelCard("resnet20", tuple("abcdefghij"), Preprocess(32, 32))
    save_model(folder / "small.safetensors", build_model("resnet20").state_dict(), card)
    return str(folder / "small.safetensors")


def memory(model: str, requests: int) -> None:
    print("memory")
    data = [noise(number, (40 + number, 60), ("JPEG", "PNG", "WEBP")[number % 3]) for number in range(49)]
    data.append(data[0][:300])
    with server(model) as running:

        async def client(numbers: Iterator[int], samples: list[tuple[int, float]]) -> None:
            connection = Connection(running.port)
            for number in numbers:
                status, answer = await connection.post(data[number % len(data)])
                assert status in (200, 422), answer
                if number % 500 == 0:
                    samples.append((number, running.rss()))
            connection.close()

        async def run() -> list[tuple[int, float]]:
            numbers, samples = iter(range(requests)), list[tuple[int, float]]()
            await asyncio.gather(*(client(numbers, samples) for _ in range(8)))
            return samples

        began = time.monotonic()
        samples = asyncio.run(run())
        took = time.monotonic() - began
    counts, sizes = np.array(samples).T
    late = counts >= requests / 5  # before, caches fill
    slope = 1e4 * np.polyfit(counts[late], sizes[late], 1)[0]
    print(f"  {requests:,} requests in {took:.0f} s; {sizes[0]:.0f} MB at first, {sizes[-1]:.0f} MB at last")
    verdict(f"{slope:.2f} MB more in 10,000 requests", holds=slope < SLOPE_MB)


def attack(model: str) -> None:
    print("attack")
    with server(model) as running:
        for _ in range(20):
            post(running, noise(0, (500, 375)))
        post(running, noise(0, (500, 375)), path="/v1/explain")  # brings what draws maps
        first, worst = running.rss(), 0.0
        for name, attacked in ATTACKS.items():
            running.forget()
            began = time.monotonic()
            statuses = Counter(attacked(running))
            growth = running.peak() - first
            worst = max(worst, growth)
            bad = [status for status in statuses if status >= 500 and status != 503]
            took = time.monotonic() - began
            print(f"  {name:40} {dict(sorted(statuses.items()))}, peak {growth:+.0f} MB, {took:.1f} s", flush=True)
            if bad or not running.alive():
                verdict(f"{name}: no 5xx but 503, and alive", holds=False)
        right = post(running, noise(0, (500, 375))) == 200
        print(f"  memory {first:.0f} MB before, {running.rss():.0f} MB after")
    verdict("alive after all, and right", holds=right)
    verdict(f"memory peaks {worst:.0f} MB above the start", holds=worst < GROWTH_MB)


# The attacks. Each gives the statuses of its answers; 0 where the connection was cut.


def exchange(running: Server, head: str, chunks: Iterable[bytes] = (), seconds: float = 60) -> int:
    """Sends whatever the server takes, then reads its answer."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=seconds) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(head.replace("\n", "\r\n").encode("latin-1"))
            for chunk in chunks:
                connection.sendall(chunk)
        with contextlib.suppress(OSError):
            return int(connection.recv(2**16).split(b" ", 2)[1])
    return 0


def post(running: Server, body: bytes, kind: str = "image/jpeg", path: str = "/v1/predict", extra: str = "") -> int:
    head = f"POST {path} HTTP/1.1\nHost: localhost\nContent-Type: {kind}\n{extra}Content-Length: {len(body)}\n\n"
    return exchange(running, head, iter([body]))


def side_by_side(running: Server, work: Callable[[Server], int], count: int) -> list[int]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, [running] * count))


ZEROS = bytes(2**20)
BUDGET = 160 * 2**20  # that the server has for decoding an image
HEAD = "POST /v1/predict HTTP/1.1\nHost: localhost\nContent-Type: image/jpeg\n"


def stated(running: Server) -> int:
    return exchange(running, f"{HEAD}Content-Length: {10**10}\n\n", itertools.repeat(ZEROS, 10**4))


def chunked(running: Server) -> int:
    piece = b"100000\r\n" + ZEROS + b"\r\n"
    return exchange(running, f"{HEAD}Transfer-Encoding: chunked\n\n", itertools.repeat(piece, 10**4))


def zipped(running: Server) -> int:
    member = gzip.compress(ZEROS * 100)  # members of a file may follow each other
    return post(running, member * 100, extra="Content-Encoding: gzip\n")


def endless_form(running: Server) -> int:
    head = HEAD.replace("image/jpeg", "multipart/form-data; boundary=b") + "Transfer-Encoding: chunked\n\n"
    start = b"27\r\n--b\r\nContent-Disposition: form-data\r\n\r\n\r\n"
    piece = b"100000\r\n" + ZEROS + b"\r\n"
    return exchange(running, head, itertools.chain([start], itertools.repeat(piece, 10**4)))


def largest(running: Server) -> int:
    """As much as is allowed, which is no image."""
    return post(running, bytes(32 * 2**20))


def parts(running: Server) -> list[int]:
    part = b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\nx\r\n'
    return [post(running, part * 10**5 + b"--b--\r\n", "multipart/form-data; boundary=b")]


def slow(running: Server) -> list[int]:
    """400 heads and bodies that drip; meanwhile somebody else asks."""
    connections, answers = [], []
    for number in range(400):
        with contextlib.suppress(OSError):
            connection = socket.create_connection(("127.0.0.1", running.port), timeout=5)
            connection.sendall(
                b"GET / HT" if number % 2 else f"{HEAD}Content-Length: 9\n\n".replace("\n", "\r\n").encode()
            )
            connections.append(connection)
    for _ in range(40):
        time.sleep(1)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.send(b"x", socket.MSG_DONTWAIT)
        answers.append(exchange(running, "GET /healthz HTTP/1.1\nHost: localhost\n\n"))
    for connection in connections:
        connection.close()
    return answers


def hosts(running: Server) -> list[int]:
    foreign = ("evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "", "\xff", "localhost\nHost: evil")
    found = [exchange(running, f"GET / HTTP/1.1\nHost: {host}\n\n") for host in foreign]
    for origin in ("http://evil.example", "null", "http://localhost.evil.example", ""):
        found.append(post(running, b"x", extra=f"Origin: {origin}\n"))
    return found


def paths(running: Server) -> list[int]:
    tricks = [
        "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/page.js/../../server.py",
        "/page.js%00.html", "//etc/passwd", "/v1/predict/../models", "http://evil.example/", "/" + "a" * 10_000,
        "/%ff%fe", "/v1//models", "/V1/models", "/;/", "*", "/v1/models?model=../../etc/passwd",
    ]  # fmt: skip
    found = [exchange(running, f"GET {path} HTTP/1.1\nHost: localhost\n\n") for path in tricks]
    image = noise(0, (50, 50))
    for query in ("model=/etc/passwd", "model=%00", "top=1e9", "top=-1", "class=%ff", "model[]=x", "x" * 9000):
        found += [post(running, image, path=f"/v1/{verb}?{query}") for verb in ("predict", "explain")]
    return found


def bombs(running: Server) -> list[int]:
    found = [post(running, png(side, side)) for side in (10_000, 50_000, 2**31 - 1)]
    found += [post(running, encoded(Image.new("P", (20_000, 20_000)), "GIF"))]
    found += [post(running, encoded(Image.new("1", (30_000, 30_000)), "TIFF", compression="group4"))]
    return [*found, post(running, png(30_000, 30_000), path="/v1/explain")]


def png(width: int, height: int) -> bytes:
    """A PNG of so many pixels in few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = zlib.compress(bytes(min(2**28, (width // 8 + 2) * height)), 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


# The most wasteful images of each format: format, mode, bytes a pixel that decoding takes, width by height, options.
WHOLE = {"progressive": True, "subsampling": 0}
WASTE: dict[str, tuple[str, str, float, int, dict[str, object]]] = {
    "PNG": ("PNG", "RGBA", 14.0, 1, {}),
    "WebP": ("WEBP", "RGBA", 23.0, 1, {}),
    "TIFF": ("TIFF", "RGBA", 16.0, 1, {"compression": "tiff_adobe_deflate", "tiffinfo": {278: 2**31 - 1}}),
    "progressive JPEG": ("JPEG", "RGB", 6.9, 1, WHOLE),
    "progressive CMYK": ("JPEG", "CMYK", 9.0, 1, WHOLE),
    "narrow CMYK": ("JPEG", "CMYK", 22.0, 64, WHOLE),  # too narrow to be decoded at reduced scale
    "narrow JPEG": ("JPEG", "RGB", 14.0, 64, {}),
    "JPEG": ("JPEG", "RGB", BUDGET / 89_400_000, 1, {}),
}


def below(name: str) -> Callable[[Server], list[int]]:
    """Images that are just small enough, eight at a time."""
    kind, mode, cost, aspect, options = WASTE[name]

    def attack(running: Server) -> list[int]:
        width = (BUDGET / cost * aspect) ** 0.5
        image = Image.new(mode, (int(width), int(width / aspect)), (10, 20, 30, 40)[: len(mode)])
        data = encoded(image, kind, **options)
        return side_by_side(running, lambda running: post(running, data), 8)

    return attack


def types(running: Server) -> list[int]:
    kinds = (
        "text/plain",
        "application/json",
        "text/html",
        "image",
        "",
        "multipart/form-data",
        "multipart/mixed; boundary=x",
    )
    found = [post(running, noise(0, (50, 50)), kind) for kind in kinds]
    return found + [post(running, data) for data in (b"", b"\xff\xd8\xff", b"<svg/>", b"%PDF-1.7", b"PK\3\4", ZEROS)]


ATTACKS: dict[str, Callable[[Server], list[int]]] = {
    "10 GB, length stated": lambda running: side_by_side(running, stated, 4),
    "10 GB, chunked": lambda running: side_by_side(running, chunked, 4),
    "10 GB as gzip": lambda running: side_by_side(running, zipped, 4),
    "10 GB, form": lambda running: side_by_side(running, endless_form, 4),
    "32 MiB, 20 side by side": lambda running: side_by_side(running, largest, 20),
    "100,000 parts": parts,
    "foreign Host and Origin": hosts,
    "paths and queries": paths,
    "images without end": bombs,
    **{f"just below the limit, {name}": below(name) for name in WASTE},
    "wrong types": types,
    "400 slow sockets, 40 s": slow,
}

if __name__ == "__main__":
    main()
