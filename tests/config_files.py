"""Configurations that the tests of the configuration share, and how they load them."""

from pathlib import Path
from typing import Any

import pytest

from alertbot.config import Config, load
from alertbot.errors import ConfigError

ENVIRON = {
    "FLASHBACK_TOKEN": "token",
    "SLACK_BOT_TOKEN": "xoxb-1",
    "LAB_PASSWORD": "password",
    "LOUD": "very",
    "EMPTY": "",
    "MY_TOKEN": "hush-hush",
    "TEAM": "blue",
}

# As in the contract, word for word but for the rules and the one place that says "json|console".
CONTRACT = r"""
database:
  url: sqlite:///alertbot.db             # or postgresql://user:pass@host/db
  keep: {raw: 7d, hourly: 90d, daily: 3y}
sources:
  - name: acme
    base_url: https://backend.flashback.tech
    access_token: ${FLASHBACK_TOKEN}
    refresh_token: ${FLASHBACK_REFRESH_TOKEN:-}      # or email + password
    interval: 60s
    timeout: 10s
    blind_after: 5m
    collect: [llm_stats, ai_minutes, evidence]       # also ai_days, storage_minutes, storage_days
    concurrency: 8                                   # parallel requests to this source
    reread: 10m                                      # how far back points are read again
    priced: tokens                                   # or llm_tokens: which pair of tokens is charged
prices:                                              # where the list of published prices does not fit
  - match: {ai_llm: "support-*"}
    usd_per_million_in: 2.50
    usd_per_million_out: 10.00
slack:
  bot_token: ${SLACK_BOT_TOKEN}
  app_token: ${SLACK_APP_TOKEN:-}                    # mode: socket
  signing_secret: ${SLACK_SIGNING_SECRET:-}          # mode: http
  mode: socket
  api_url: https://slack.com/api/
  command: /alertbot
  channel: "#ai-alerts"                              # the default route; name or id
  fallback_channel: "#ai-alerts-fallback"            # when a route's channel is broken
  operator_channel: "#ai-alerts-fallback"            # about the bot itself
  operator_webhook: ${SLACK_OPERATOR_WEBHOOK:-}      # an incoming webhook: the last way out when the token is refused
  operators: [U012AB3CD, S0123TEAM]                  # who may silence, edit rules and see every source
  visibility: [{source: acme, channels: ["#acme-ai"], users: [U1]}]   # optional: who may look a source up
oncall:
  - name: primary
    rotation: {every: 1w, start: 2026-01-05T09:00, timezone: Europe/Madrid, people: [U1, U2, U3]}
routes:                                              # first match wins
  - match: {severity: critical, source: acme}        # also rule, ai_llm, provider, label names
    channel: "#ai-oncall"
    mention: ["@oncall:primary", S0123TEAM, "@here"]
    group_by: [rule, source]
    group_wait: 10s
    group_interval: 5m
    repeat: 4h
    flap_limit: 6
    forget_brief: false
    privacy: full                                    # or masked, counts
    send_resolved: true
    escalate:
      - {after: 15m, mention: ["@oncall:primary"]}
      - {after: 30m, channel: "#leads", mention: [S0LEADS]}
rules:
  - {name: violation-burst, metric: policy_violations, window: 15m, above: {warning: 5, critical: 20}, per: ai_llm, where: {ai_llm: "support-*"}}
  - {name: token-budget, type: budget, metric: tokens, amount: 50000000, period: day, at: {warning: 80, critical: 100}, forecast: true, per: source}
reports: [{schedule: "0 9 * * MON", channel: "#ai-alerts", timezone: Europe/Madrid}]
http: {listen: 127.0.0.1:8080}                       # /healthz /readyz /metrics, and /slack/events in http mode
heartbeat: {url: ${HEARTBEAT_URL:-}}                 # pinged after every cycle that polled, evaluated and drained
log: {format: json, level: info}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "alertbot.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str, environ: dict[str, str] | None = None, **more: Any) -> Config:
    return load(write(folder, text), ENVIRON if environ is None else environ, **more)


def mistakes(folder: Path, text: str, environ: dict[str, str] | None = None, **more: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as raised:
        loaded(folder, text, environ, **more)
    return tuple(raised.value.lines)
