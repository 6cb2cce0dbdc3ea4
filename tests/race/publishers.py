"""Publishers at a market where everything fails now and then. They send PINGs, POSTs and FULLs of every kind, send each
again until it has an answer, sometimes twice at once or later once more, and remember every answer."""

import asyncio
import base64
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from random import Random
from typing import Any

from shared.domain.models import Endpoint
from tests.build import an_event
from tests.race.market import SELLERS, STATIC_NUMBERS, Market
from tools.local.lambda_runtime import FunctionFailed, FunctionTimedOut, Runtime

GIVE_UP_SECONDS = 16.0
PATIENCE_SECONDS = 20.0
AT_ONCE = 5
"""How many leads in a row have the same caller, where it matters that one comes again."""
LATER = 300
"""Of how many sales one may be asked for again later."""
ZIPS = ("30340", "30340", "30340", "30341", "30342", "30354", "30355")
"""What the live buyer does: most often it bids and accepts."""
FINAL = (200, 401, 404, 422)
POSSIBLE = {
    "success", "no_number_available", "no_matching_buyer", "buyer_unavailable", "duplicate_caller", "ping_id_used",
    "ping_id_expired", "too_many_leases",
}  # fmt: skip
"""What a publisher whose requests are in order may be answered; another status is wrong."""

_callers = count()


@dataclass(frozen=True, slots=True)
class Answer:
    began: float
    ended: float
    code: int
    """0 where there was none."""
    body: str


@dataclass(eq=False, slots=True)
class Sold:
    body: str
    number: str
    held_until: int
    at: float
    buyer_id: int


@dataclass(eq=False)
class Post:
    """A request that may be sent any number of times. `choices` are its parameters: several where an Idempotency-Key
    makes one sale of several pings."""

    verb: str
    endpoint: Endpoint
    choices: list[dict[str, str]]
    buyer_id: int = 0
    idempotency_key: str = ""
    answers: list[Answer] = field(default_factory=list)
    sold: Sold | None = None

    @property
    def ping_ids(self) -> set[bytes]:
        """The pings that it names, and the one that a FULL was told."""
        texts = [params["ping_id"] for params in self.choices if "ping_id" in params]
        if self.sold and self.verb == "full":
            texts.append(json.loads(self.sold.body)["try_all_buyers_ping_id"])
        return {raw_id(text) for text in texts}

    def note(self, answer: Answer) -> str:
        """The violation that the answer is, if it is one."""
        self.answers.append(answer)
        if answer.code == 500:
            return "an internal error"
        if answer.code not in FINAL:
            return ""
        body = json.loads(answer.body)
        if body["status"] not in POSSIBLE:
            return "a refusal that cannot be true"
        if self.sold:
            other = answer.body != self.sold.body and answer.ended < self.sold.held_until
            # A refusal may have been on its way already, and of several pings under one key one alone is sold.
            refused_rightly = not body["success"] and (answer.began < self.sold.at or len(self.choices) > 1)
            return "two answers to one POST" if other and not refused_rightly else ""
        if body["success"]:
            held_until = int(datetime.fromisoformat(body["number_expires_at"]).timestamp())
            number = "+" + body["trackdrive_number"]
            self.sold = Sold(answer.body, number, held_until, answer.ended, body["buyer_id"])
        return ""


def raw_id(ping_id: str) -> bytes:
    return base64.urlsafe_b64decode(ping_id[3:])[:12]


@dataclass
class Publishers:
    market: Market
    runtime: Runtime
    random: Random
    weights: Mapping[str, int]
    violate: Callable[[str, Post | None, str], None]
    counts: Counter[str] = field(default_factory=Counter)
    came: Counter[str] = field(default_factory=Counter)
    posts: list[Post] = field(default_factory=list)
    later: deque[Post] = field(default_factory=lambda: deque(maxlen=LATER))
    impatient: float = 0.02

    async def work(self, until: float) -> None:
        """One client, until it is time."""
        while time.time() < until:
            if self.later and self.random.random() < 0.08:
                await self.ask_again(self.random.choice(self.later))
                continue
            post = await self._prepare(self.market.drawn(self.weights, self.random))
            if post is None:
                continue
            self.posts.append(post)
            copies = 2 if self.random.random() < 0.08 else 1
            await asyncio.gather(*(self._insist(post) for _ in range(copies)))
            if post.sold:
                self.later.append(post)

    async def ask_again(self, post: Post) -> Answer:
        return await self._send_post(post)

    async def _prepare(self, endpoint: Endpoint) -> Post | None:
        """A request that is ready to be sent; None where a PING had no answer or no bid."""
        lead = self._a_lead(endpoint)
        kinds = ["ping", "full"] if endpoint.static_numbers else ["ping", "ping", "ping", "full", "post-only"]
        kind = self.random.choice(kinds)
        key = f"key{next(_callers)}" if self.random.random() < 0.12 else ""
        if kind != "ping":
            return Post("full" if kind == "full" else "post", endpoint, [lead], idempotency_key=key)
        pings = [
            bids
            for _ in range(2 if key and self.random.random() < 0.5 else 1)
            if (bids := await self._ping(endpoint, lead))
        ]
        if not pings or self.random.random() < 0.04:  # and some PINGs are all that is heard of a lead
            return None
        buyer_id = 0
        if self.random.random() < 0.6:
            buyer_id = self.random.choice([*pings[0]])
        ids = [found for bids in pings if (found := bids.get(buyer_id))]
        kept = lead if endpoint.static_numbers else {name: lead[name] for name in ("caller_id", "zip")}
        return Post("post", endpoint, [kept | {"ping_id": ping_id} for ping_id in ids], buyer_id, key)

    async def _ping(self, endpoint: Endpoint, lead: dict[str, str]) -> dict[int, str]:
        """The ping id of each buyer that bids, and of all under 0."""
        for _ in range(5):
            answer = await self._send("ping", endpoint, lead, "")
            if answer.code == 500:
                self.violate("an internal error", None, f"PING {endpoint.vanity_uri}: {answer.body}")
            if answer.code in FINAL:
                body = json.loads(answer.body)
                if not body["success"]:
                    self.counts[f"PING {body['status']}"] += 1
                    wrong = endpoint in (self.market.plain, self.market.roomy) or body["status"] not in POSSIBLE
                    if wrong:
                        self.violate(
                            "a refusal that cannot be true", None, f"PING {endpoint.vanity_uri}: {answer.body}"
                        )
                    return {}
                ids = {row["buyer_id"]: row["ping_id"] for row in body["buyers"]}
                return ids | {0: body["try_all_buyers_ping_id"]}
            await asyncio.sleep(self.random.uniform(0, 0.5))
        return {}

    async def _insist(self, post: Post) -> None:
        """Send it until there is an answer, as publishers do."""
        give_up_at = time.time() + GIVE_UP_SECONDS
        while time.time() < give_up_at:
            if (await self._send_post(post)).code in FINAL:
                return
            await asyncio.sleep(self.random.uniform(0, 1))
        self.counts["POST given up"] += 1

    async def _send_post(self, post: Post) -> Answer:
        params = self.random.choice(post.choices)
        answer = await self._send(post.verb, post.endpoint, params, post.idempotency_key)
        if violation := post.note(answer):
            self.violate(violation, post, answer.body)
        if answer.code in FINAL:
            self.counts[f"POST {json.loads(answer.body)['status']}"] += 1
        return answer

    async def _send(self, verb: str, endpoint: Endpoint, params: dict[str, str], key: str) -> Answer:
        self.counts["PINGs" if verb == "ping" else "POSTs"] += 1
        headers = {"idempotency-key": key} if key else {}
        event: Any = an_event(verb, endpoint.vanity_uri, json_body=params, headers=headers)
        impatient = self.random.random() < self.impatient
        seconds = self.random.uniform(0.01, 1.0) if impatient else PATIENCE_SECONDS
        began = time.time()
        try:
            returned = json.loads(await asyncio.wait_for(self.runtime.invoke(verb, event), seconds))
        except TimeoutError:
            silence = "the publisher left" if impatient else "no answer in time"
        except FunctionFailed:
            silence = "the function died"
        except FunctionTimedOut:
            silence = "the function took too long"
        else:
            if returned["statusCode"] not in FINAL:
                self.counts[f"{verb} {returned['statusCode']}"] += 1
            return Answer(began, time.time(), returned["statusCode"], returned["body"])
        self.counts[silence] += 1
        return Answer(began, time.time(), 0, silence)

    def _a_lead(self, endpoint: Endpoint) -> dict[str, str]:
        """A lead of a caller that nobody else has, but where it matters that one comes again."""
        caller = no = next(_callers)
        if endpoint in (self.market.windowed, self.market.static, self.market.shared):
            self.came[endpoint.vanity_uri] += 1
            back = self.random.randrange(50) if self.random.random() < 0.2 else 0
            caller = 10_000 + max(0, self.came[endpoint.vanity_uri] // AT_ONCE - back)
        lead = {
            "caller_id": f"+1{201 + caller // 10_000 % 700}555{caller % 10_000:04}",
            "lead": str(no),
            "zip": self.random.choice(ZIPS),
        }
        if endpoint.static_numbers:
            lead["auth_token"] = self.random.choice([*SELLERS])
            lead["trackdrive_number"] = [*STATIC_NUMBERS][caller % len(STATIC_NUMBERS)]
        return lead
