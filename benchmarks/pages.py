"""What open pages cost the scoring loop: python -m benchmarks.pages RECORDING [PAGES]

mgfn-stream watches the recording at its own pace, as two cameras; stage times, and the processor time of its main
process, without a page and with 20 that read the stream and the pictures, twelve seconds each.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import psutil

SECONDS = 12.0


def stages(client: httpx.Client) -> dict[str, tuple[float, float]]:
    """Sum of seconds and count of each stage so far."""
    found: dict[str, dict[str, float]] = {}
    for line in client.get("/metrics").text.splitlines():
        for kind in ("sum", "count"):
            if line.startswith(f"mgfn_stage_seconds_{kind}"):
                found.setdefault(line.split('"')[1], {})[kind] = float(line.split()[-1])
    return {stage: (pair["sum"], pair["count"]) for stage, pair in found.items()}


def page(address: str, over: threading.Event) -> None:
    with httpx.Client(base_url=address, timeout=30) as client, client.stream("GET", "/api/stream") as stream:
        reader = iter(stream.iter_bytes())
        next_picture = 0.0
        with httpx.Client(base_url=address, timeout=30) as other:
            while not over.is_set():
                next(reader, b"")
                if time.monotonic() > next_picture:
                    next_picture = time.monotonic() + 2
                    other.get("/api/cameras/one/picture.jpg")
                    other.get("/api/cameras/two/picture.jpg")


def main() -> None:
    recording, pages = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "stream.cli", "--rtsp", f"one={recording}", "--rtsp", f"two={recording}"]
        command += ["--data", folder, "--http", "127.0.0.1:18099", "--self-test", "off"]
        log = (Path(folder) / "log").open("wb")
        service = subprocess.Popen(command, stderr=log)
        try:
            client = httpx.Client(base_url="http://127.0.0.1:18099", timeout=30)
            until = time.monotonic() + 120
            while time.monotonic() < until:
                try:
                    if client.get("/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.1)
            time.sleep(3)
            for number in (0, pages):
                over = threading.Event()
                threads = [
                    threading.Thread(target=page, args=("http://127.0.0.1:18099", over), daemon=True)
                    for _ in range(number)
                ]
                for thread in threads:
                    thread.start()
                time.sleep(1)
                before, used = stages(client), psutil.Process(service.pid).cpu_times()
                time.sleep(SECONDS)
                after, now_used = stages(client), psutil.Process(service.pid).cpu_times()
                over.set()
                told = []
                for stage in ("wait", "backbone", "head"):
                    seconds, count = (now - then for now, then in zip(after[stage], before[stage], strict=True))
                    told.append(f"{stage} {1000 * seconds / max(1, count):.1f} ms")
                clips = after["wait"][1] - before["wait"][1]
                load = (now_used.user + now_used.system - used.user - used.system) / SECONDS
                print(f"{number} pages: {', '.join(told)}; {clips:.0f} clips in {SECONDS:.0f} s, {load:.2f} cores used")
        finally:
            service.terminate()
            service.wait(10)


if __name__ == "__main__":
    main()
