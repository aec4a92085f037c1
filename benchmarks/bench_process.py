"""The whole bot from outside: CPU and memory of its process, and how long after a breach it speaks. SQLite, 5 s interval, 20 rules.

Run by `make bench`. A server of ours plays Flashback: every counter of every LLM grows with each answer.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.table import Row, show

INTERVAL = 5
CYCLES = 12
BREACHES = 8
FIELDS = (
    "totalApiCalls",
    "totalTokensIn",
    "totalTokensOut",
    "totalLlmTokensIn",
    "totalLlmTokensOut",
    "totalPolicyViolations",
    "totalAlerts",
    "totalBlocks",
)
KINDS = (
    "{metric: METRIC, window: 15m, above: 1000000000}",
    "{type: rate, metric: METRIC, window: 10m, per_unit: minute, above: 1000000000}",
    "{type: ratio, metric: METRIC, of: WHOLE, window: 5m, above: 1000000000}",
    "{type: spike, metric: METRIC, window: 5m, baseline: 20m, factor: 1000000000}",
    "{type: budget, metric: METRIC, period: day, amount: 1000000000000, forecast: true}",
)
WHOLES = {
    "policy_alerts": "api_calls",
    "policy_blocks": "api_calls",
    "tokens_in": "tokens",
    "llm_tokens_in": "llm_tokens",
}


class Flashback(BaseHTTPRequestHandler):
    """Answers with the totals of so many LLMs, and has nothing else."""

    llms = 0
    answers = 0
    breached: int | None = None  # the LLM whose violations have jumped

    def do_GET(self) -> None:
        body = self._stats() if self.path.startswith("/ai/llm/stats") else b'{"success": false, "message": "no"}'
        self.send_response(200 if b"stats" in body[:40] else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stats(self) -> bytes:
        Flashback.answers += 1
        entries = []
        for number in range(self.llms):
            grown = Flashback.answers * (number % 7 + 1)
            jumped = 1_000_000 if number == Flashback.breached else 0
            totals = {field: str(grown + (jumped if field == "totalPolicyViolations" else 0)) for field in FIELDS}
            entries.append({"aiLlmId": f"llm-{number:06}", **totals})
        return json.dumps({"success": True, "stats": entries}).encode()

    def log_message(self, *_: object) -> None:
        pass


def configuration(port: int) -> str:
    rules = [
        kind.replace("METRIC", metric).replace("WHOLE", whole) for metric, whole in WHOLES.items() for kind in KINDS
    ][:-1]
    named = "\n".join(f"  - {{name: rule-{place}, {rule[1:]}" for place, rule in enumerate(rules))
    return f"""
sources:
  - {{name: acme, base_url: "http://127.0.0.1:{port}", access_token: token, interval: {INTERVAL}s, collect: [llm_stats]}}
slack: {{channel: "#alerts", bot_token: xoxb-1, app_token: xapp-1}}
routes: [{{match: {{}}, channel: "#alerts", group_wait: 0s, group_interval: 1s}}]
rules:
{named}
  - {{name: burst, metric: policy_violations, window: 15m, above: 500000}}
"""


def cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(process: int) -> float:
    (line,) = [line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


class Bot:
    """`alertbot run --dry-run`, and when it last spoke."""

    def __init__(self, folder: Path, port: int) -> None:
        (folder / "config.yaml").write_text(configuration(port))
        command = [sys.executable, "-m", "alertbot", "run", "--dry-run", "--config", str(folder / "config.yaml")]
        self.process = subprocess.Popen(  # noqa: S603 — our own program
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[tuple[float, str]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line))

    def spoke_of(self, llm: str, *, since: float) -> float:
        """When it named an LLM. Raises TimeoutError."""
        while time.monotonic() < since + 4 * INTERVAL:
            spoken = [at for at, line in list(self.lines) if at >= since and llm in line]
            if spoken:
                return spoken[0]
            time.sleep(0.005)
        raise TimeoutError("".join(line for _, line in self.lines[-20:]))

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def wait_for_answers(bot: Bot, count: int) -> None:
    """Wait for so many polls. Raises TimeoutError."""
    until, give_up_at = Flashback.answers + count, time.monotonic() + (count + 4) * INTERVAL
    while Flashback.answers < until:
        if bot.process.poll() is not None or time.monotonic() > give_up_at:
            raise TimeoutError("".join(line for _, line in bot.lines[-20:]))
        time.sleep(0.01)


def measure(llms: int) -> list[Row]:
    Flashback.llms, Flashback.answers, Flashback.breached = llms, 0, None
    server = ThreadingHTTPServer(("127.0.0.1", 0), Flashback)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    dice = random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        bot = Bot(Path(folder), server.server_port)
        try:
            wait_for_answers(bot, 4)
            cycles = []
            for _ in range(CYCLES):
                began = cpu_seconds(bot.process.pid)
                wait_for_answers(bot, 1)
                cycles.append(cpu_seconds(bot.process.pid) - began)
            waits = []
            for breach in range(BREACHES):
                time.sleep(dice.random() * INTERVAL)
                breached_at, Flashback.breached = time.monotonic(), breach
                waits.append(bot.spoke_of(f"llm-{breach:06}", since=breached_at) - breached_at)
            memory = memory_mb(bot.process.pid)
        finally:
            bot.stop()
            server.shutdown()
    size = f"{llms:,} LLMs x 20 rules"
    return [
        Row(f"{size}: CPU a cycle", "s", cycles, f"interval {INTERVAL} s"),
        Row(f"{size}: breach to message", "s", waits, f"mean wait for the poll {INTERVAL / 2} s"),
        Row(f"{size}: memory at most", "MB", [memory], ""),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("llms", type=int, nargs="*", default=[1_000, 10_000])
    show([row for llms in parser.parse_args().llms for row in measure(llms)])


if __name__ == "__main__":
    main()
