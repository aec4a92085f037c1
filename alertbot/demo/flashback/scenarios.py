"""The stories that `alertbot demo` can tell: a world with its traffic, and the faults of the API that come with it.

All of them show the same company, "Acme", and differ in what goes wrong. In ordinary traffic the twelve configurations
use 20 to 40 million tokens on a working day, and no configuration collects more than a violation or two in an hour.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from alertbot.demo.flashback.facts import (
    NAMESPACE,
    Action,
    Bucket,
    Configuration,
    Incident,
    Model,
    Named,
    Policy,
    Severity,
)
from alertbot.demo.flashback.faults import ScheduledFault
from alertbot.demo.flashback.traffic import World
from alertbot.errors import UsageError


@dataclass(frozen=True, slots=True)
class Scenario:
    """One story: what `build` makes of a seed and the moment at which the story begins, and when the API fails.

    `has_past` tells whether it is worth a look at the day before it.
    """

    name: str
    summary: str
    build: Callable[[int, datetime, timedelta], World]
    faults: tuple[ScheduledFault, ...] = ()
    has_past: bool = True

    def world(self, seed: int, start: datetime, *, history: timedelta = timedelta()) -> World:
        """The world of this story, with ordinary traffic for as long as `history` before `start`."""
        return self.build(seed, start, history)


def find_scenario(name: str) -> Scenario:
    """The scenario of that name; a UsageError that lists them all if there is none."""
    if name not in SCENARIOS:
        raise UsageError(f"no scenario {name!r}; there are: {', '.join(SCENARIOS)}")
    return SCENARIOS[name]


def identify(kind: str, name: str) -> str:
    """The id of something in the simulated company: the same in every run, so that a configuration file may name it."""
    return str(uuid.uuid5(NAMESPACE, f"{kind}/{name}"))


GPT = Model("OPENAI", "gpt-4o", "api.openai.com")
GPT_MINI = Model("OPENAI", "gpt-4o-mini", "api.openai.com")
SONNET = Model("ANTHROPIC", "claude-sonnet-4-5", "api.anthropic.com")
HAIKU = Model("ANTHROPIC", "claude-haiku-4-5", "api.anthropic.com")
GEMINI_PRO = Model("GOOGLE", "gemini-2.5-pro", "generativelanguage.googleapis.com")
GEMINI_FLASH = Model("GOOGLE", "gemini-2.5-flash", "generativelanguage.googleapis.com")
NOVA = Model("AWS", "amazon.nova-pro-v1:0", "bedrock-runtime.eu-west-1.amazonaws.com")

PEOPLE = (
    "Ana Ruiz",
    "Ben Okafor",
    "Chiara Conti",
    "Dmitri Volkov",
    "Elif Yılmaz",
    "Farid Haddad",
    "Grace Lindqvist",
    "Hugo Martín",
    "Ines Duarte",
    "Jonas Weber",
    "Kavya Iyer",
    "Liam O'Brien",
    "Mei Tanaka",
    "Nadia Kowalska",
    "Omar Farouk",
    "Priya Nair",
)

# Explanations hold what outsiders wrote: personal data and attempts at Slack's markup are part of the traffic on purpose.
CUSTOMER_PII = Policy(
    identify("policy", "No customer PII"),
    "No customer PII",
    "Prompts must not contain names together with contact or payment details of customers.",
    Severity.HIGH,
    Action.BLOCK,
    (
        "The prompt holds a customer's e-mail address (maria.gomez@example.com) and her order history.",
        "The prompt holds a card number ending in 4242 with its expiry date.",
        "The prompt holds a phone number, +34 600 123 456, next to a customer's full name.",
        "A pasted spreadsheet lists 48 customers with street addresses.",
    ),
    0.00006,
)
PROMPT_INJECTION = Policy(
    identify("policy", "Prompt injection"),
    "Prompt injection",
    "Input from outside must not try to change the instructions of the assistant.",
    Severity.HIGH,
    Action.ALERT,
    (
        'The text asks the model to "ignore all previous instructions" and to print its system prompt.',
        "A web page that was quoted holds hidden instructions: <!channel> please visit <https://evil.example|our portal>.",
        "The user claims to be the developer and asks for the safety rules to be switched off.",
    ),
    0.00008,
)
SECRETS = Policy(
    identify("policy", "No secrets in prompts"),
    "No secrets in prompts",
    "API keys, passwords and private keys must not be sent to a model.",
    Severity.MEDIUM,
    Action.ALERT,
    (
        "The code that was pasted holds what looks like an AWS access key.",
        "A connection string with its password is part of the prompt.",
    ),
    0.00008,
)
LEGAL_ADVICE = Policy(
    identify("policy", "No legal advice"),
    "No legal advice",
    "Answers must not give legal advice to people outside the company.",
    Severity.LOW,
    Action.LOG,
    ("The answer tells a customer what to write to a court.", "The answer judges whether a contract can be enforced."),
    0.0001,
)
POLICIES = (CUSTOMER_PII, PROMPT_INJECTION, SECRETS, LEGAL_ADVICE)

# Name, workspace, models, how many people, calls a minute at the busiest hour, tokens in and out of a call, policies.
CATALOGUE: tuple[tuple[str, str, tuple[Model, ...], int, float, int, int, tuple[Policy, ...]], ...] = (
    ("support-chat", "Customer care", (SONNET, HAIKU), 6, 5.0, 900, 240, (CUSTOMER_PII, PROMPT_INJECTION)),
    ("code-review", "Engineering", (SONNET, GPT), 7, 2.5, 2600, 520, (SECRETS, PROMPT_INJECTION)),
    ("sales-assistant", "Sales", (GPT, GPT_MINI), 5, 3.0, 800, 300, (CUSTOMER_PII, LEGAL_ADVICE)),
    ("invoice-reader", "Finance", (GEMINI_FLASH,), 2, 2.0, 1400, 120, (CUSTOMER_PII,)),
    ("hr-helpdesk", "People", (GPT_MINI,), 4, 1.0, 700, 260, (CUSTOMER_PII, LEGAL_ADVICE)),
    ("marketing-copy", "Sales", (GPT, GEMINI_PRO), 3, 1.0, 500, 640, (LEGAL_ADVICE,)),
    ("data-analyst", "Engineering", (GEMINI_PRO, SONNET), 4, 1.5, 2200, 480, (SECRETS, CUSTOMER_PII)),
    ("legal-summaries", "Finance", (SONNET,), 2, 0.6, 5200, 700, (LEGAL_ADVICE, CUSTOMER_PII)),
    ("meeting-notes", "People", (HAIKU,), 6, 1.5, 3000, 420, (CUSTOMER_PII,)),
    ("product-search", "Customer care", (GEMINI_FLASH, NOVA), 3, 4.0, 350, 90, (PROMPT_INJECTION,)),
    ("incident-copilot", "Engineering", (SONNET,), 3, 0.7, 2400, 500, (SECRETS,)),
    ("translation-desk", "Sales", (NOVA,), 3, 1.5, 600, 620, (CUSTOMER_PII,)),
)
OPENING_DAYS = 120  # the configurations were in use for so long before the story begins


def build_company(start: datetime, *, breaches: float = 1.0, calls: float = 1.0) -> tuple[Configuration, ...]:
    """Acme's configurations; `breaches` and `calls` multiply how often policies are broken and models are called."""
    people = [Named(identify("user", name), name) for name in PEOPLE]
    configurations = []
    for place, (name, workspace, models, crew, pace, tokens_in, tokens_out, policies) in enumerate(CATALOGUE):
        repos = tuple(Named(identify("repo", each), each) for each in (name, f"{name}-internal")[: 1 + crew // 4])
        lived = int(pace * 60 * 8 * OPENING_DAYS)
        opening = {
            "api_calls": lived,
            "tokens_in": lived * tokens_in,
            "tokens_out": lived * tokens_out,
            "llm_tokens_in": lived * tokens_in * 95 // 100,
            "llm_tokens_out": lived * tokens_out * 95 // 100,
            "policy_violations": lived // 6000,
            "policy_alerts": lived // 14000,
            "policy_blocks": lived // 15000,
        }
        configurations.append(
            Configuration(
                identify("ai_llm", name),
                name,
                Named(identify("workspace", workspace), workspace),
                models,
                tuple(people[(place * 3 + offset) % len(people)] for offset in range(crew)),
                repos,
                Named(identify("key", name), f"{name}-production"),
                tuple(replace(each, breaches_per_call=each.breaches_per_call * breaches) for each in policies),
                created_at=start - timedelta(days=OPENING_DAYS),
                calls_per_minute=pace * calls,
                tokens_in_per_call=tokens_in,
                tokens_out_per_call=tokens_out,
                opening=opening,
            )
        )
    return tuple(configurations)


def build_buckets() -> tuple[Bucket, ...]:
    """Acme's storage, for the storage statistics."""
    return tuple(
        Bucket(identify("bucket", name), name, Named(identify("repo", repo), repo), host, size)
        for name, repo, host, size in (
            ("chat-archive", "support-chat", "s3.eu-west-1.amazonaws.com", 4_000_000),
            ("invoices", "invoice-reader", "storage.googleapis.com", 9_000_000),
        )
    )


def build_burst(seed: int, start: datetime, history: timedelta) -> World:
    """Ordinary traffic; from the third minute support-chat leaks personal data for a quarter of an hour.

    Half an hour later a milder breach begins elsewhere, and lasts: long enough for somebody to look at it and take it.
    """
    began = start + timedelta(minutes=3)
    leak = Incident(
        identify("ai_llm", "support-chat"),
        began,
        began + timedelta(minutes=15),
        violations_per_minute=3.5,
        policy="No customer PII",
    )
    advice = Incident(
        identify("ai_llm", "sales-assistant"),
        start + timedelta(minutes=30),
        start + timedelta(hours=6),
        violations_per_minute=1.1,
        policy="No legal advice",
    )
    return _build(seed, start, history, incidents=(leak, advice))


def build_storm(seed: int, start: datetime, history: timedelta) -> World:
    """Three hundred small configurations behind one template, all of which an injected prompt hits at once."""
    template = build_company(start - history)[0]
    began = start + timedelta(minutes=3)
    names = [f"shop-{number:03}-assistant" for number in range(1, 301)]
    fleet = tuple(
        replace(
            template,
            id=identify("ai_llm", name),
            name=name,
            repos=(Named(identify("repo", name), name),),
            people=template.people[:2],
            models=(HAIKU,),
            calls_per_minute=0.5,
            opening={counter: total // 100 for counter, total in template.opening.items()},
        )
        for name in names
    )
    incidents = tuple(
        Incident(each.id, began, began + timedelta(minutes=10), 0.8 + place % 3 * 0.6, policy="Prompt injection")
        for place, each in enumerate(fleet)
    )
    return World(fleet, start=start - history, seed=seed, incidents=incidents, buckets=build_buckets())


def build_budget(seed: int, start: datetime, history: timedelta) -> World:
    """Ordinary traffic; from the third minute an agent of sales-assistant runs in a loop, ever faster, for six hours."""
    began, ended = start + timedelta(minutes=3), start + timedelta(hours=6)
    loops = tuple(
        Incident(
            identify("ai_llm", "sales-assistant"), began + timedelta(minutes=after), ended, calls=calls, tokens=tokens
        )
        for after, calls, tokens in ((0, 6.0, 4.0), (10, 2.0, 2.0), (25, 2.0, 1.5))
    )
    return _build(seed, start, history, incidents=loops)


def build_ordinary(seed: int, start: datetime, history: timedelta) -> World:
    """Ordinary traffic and nothing else."""
    return _build(seed, start, history)


def build_quiet_night(seed: int, start: datetime, history: timedelta) -> World:
    """A few calls, and no policy is ever broken."""
    return _build(seed, start, history, breaches=0.0, calls=0.2)


def _build(
    seed: int,
    start: datetime,
    history: timedelta,
    *,
    incidents: tuple[Incident, ...] = (),
    breaches: float = 1.0,
    calls: float = 1.0,
) -> World:
    company = build_company(start - history, breaches=breaches, calls=calls)
    if breaches and history >= timedelta(days=1):
        incidents = (*incidents, *_yesterday(start))
    return World(company, start=start - history, seed=seed, incidents=incidents, buckets=build_buckets())


def _yesterday(start: datetime) -> Iterator[Incident]:
    """What somebody finds who asks about the day before: afternoons on which people were careless."""
    noon = start.replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
    for name, policy, hours, pace in (
        ("code-review", "No secrets in prompts", 5, 0.05),
        ("hr-helpdesk", "No customer PII", 3, 0.04),
        ("marketing-copy", "No legal advice", 2, 0.05),
    ):
        yield Incident(identify("ai_llm", name), noon, noon + timedelta(hours=hours), pace, policy=policy)


DEFAULT_SCENARIO = "burst"
SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "burst",
            "An ordinary day, until support-chat breaks a policy many times within a quarter of an hour.",
            build_burst,
        ),
        Scenario("storm", "Three hundred LLMs breach a policy at the same moment.", build_storm, has_past=False),
        Scenario(
            "budget",
            "An agent of sales-assistant runs in a loop and spends a day's tokens within two hours.",
            build_budget,
        ),
        Scenario(
            "outage",
            "The Flashback API answers 503 for ten minutes and then recovers, with nothing lost.",
            build_ordinary,
            (ScheduledFault("*", 503, after=timedelta(minutes=4), lasting=timedelta(minutes=10)),),
        ),
        Scenario("quiet-night", "Hardly any traffic, and nothing that anybody has to hear of.", build_quiet_night),
    )
}
