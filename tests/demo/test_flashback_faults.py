"""The simulated API over real HTTP: tokens, every way to fail, the control surface, start and stop."""

import base64
import json
from datetime import timedelta

import httpx
import pytest

from alertbot.demo.flashback.scenarios import find_scenario
from alertbot.demo.flashback.server import FlashbackServer
from alertbot.demo.flashback.wire import Dialect
from tests.demo.conftest import START, STATS, get, open_client, refusal

# ---- tokens


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic flashback-demo-token"])
def test_without_the_right_bearer_token_every_path_is_closed(api, header):
    for path in (STATS, "/ai/llm", "/workspace", "/aistats/minute", "/stats/daily", "/policy/alerts"):
        assert refusal(api.get(path, headers={"Authorization": header})) == (401, "Invalid or expired token")


def test_a_login_gives_tokens_that_open_the_api_and_expire(api, server, clock):
    wrong = api.post("/user/login", json={"email": server.email, "password": "guess"})
    assert refusal(wrong) == (401, "Invalid credentials")
    assert api.post("/user/login", json={"email": server.email}).status_code == 400
    answer = api.post("/user/login", json={"email": server.email, "password": server.password}).json()
    headers = {"Authorization": f"Bearer {answer['accessToken']}"}
    assert answer["expiresAt"] == int((START + timedelta(hours=1)).timestamp()) * 1000
    payload = answer["accessToken"].split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(payload + "=="))["exp"] * 1000 == answer["expiresAt"]
    clock.tick(minutes=59)
    assert api.get(STATS, headers=headers).status_code == 200
    clock.tick(minutes=1)
    assert api.get(STATS, headers=headers).status_code == 401


@pytest.mark.parametrize("field", ["refreshToken", "refresh_token"])
def test_a_refresh_token_works_once_and_is_replaced(api, server, field):
    server.dialect = Dialect(expires_at_in_milliseconds=False)
    first = api.post("/user/refresh", json={field: server.refresh_token}).json()
    assert first["success"] is True
    assert first["expiresAt"] == int((START + timedelta(hours=1)).timestamp())
    assert refusal(api.post("/user/refresh", json={field: server.refresh_token})) == (401, "Invalid refresh token")
    second = api.post("/user/refresh", json={field: first["refreshToken"]}).json()
    assert len({server.token, first["accessToken"], second["accessToken"]}) == 3
    assert api.get(STATS, headers={"Authorization": f"Bearer {second['accessToken']}"}).status_code == 200
    assert refusal(api.post("/user/refresh", json={})) == (400, "refreshToken is required")


def test_all_access_tokens_can_be_ended_and_a_refresh_brings_a_new_one(api, server):
    server.expire_tokens()
    assert api.get(STATS).status_code == 401
    access = api.post("/user/refresh", json={"refreshToken": server.refresh_token}).json()["accessToken"]
    assert api.get(STATS, headers={"Authorization": f"Bearer {access}"}).status_code == 200


# ---- what tests look at


def test_requests_are_remembered_and_counted(api, server):
    server.fail("/ai/llm", 500, times=1)
    api.get("/ai/llm")
    api.get(STATS, params={"aiLlmId": "llm-1"})
    api.post("/user/refresh", json={"refresh_token": "x"})
    assert [(seen.method, seen.path, seen.query) for seen in server.requests] == [
        ("GET", "/ai/llm", {}),
        ("GET", STATS, {"aiLlmId": "llm-1"}),
        ("POST", "/user/refresh", {}),
    ]
    assert server.requests[2].body == {"refresh_token": "x"}
    assert (server.count(STATS), server.count("/workspace")) == (1, 0)


def test_a_path_or_method_that_does_not_exist_is_a_404_in_json(api):
    assert refusal(api.get("/ai/nothing")) == (404, "Cannot GET /ai/nothing")
    assert refusal(api.post(STATS)) == (404, f"Cannot POST {STATS}")


def test_a_base_url_that_ends_in_a_slash_works_as_well(api, server):
    assert api.get(f"{server.url}//ai/llm/stats").status_code == 200


# ---- faults


def test_a_failure_has_the_apis_error_body_and_ends_after_its_times(api, server):
    server.fail(STATS, 503, times=2)
    server.fail(STATS, 429, times=1, retry_after=7)
    for _ in range(2):
        assert refusal(api.get(STATS)) == (503, "Service unavailable")
    busy = api.get(STATS)
    assert refusal(busy) == (429, "Too many requests")
    assert busy.headers["Retry-After"] == "7"
    assert get(api, STATS)


def test_a_failure_concerns_its_path_until_it_is_cleared(api, server):
    server.fail("/policy/*", 403, body={"success": False, "message": "no", "error_code": "E1"})
    server.fail(f"{STATS}?aiLlmId=llm-2", 500)
    assert api.get("/policy/alerts").json()["error_code"] == "E1"
    assert api.get("/policy/policy-1/violations").status_code == 403
    assert api.get(STATS, params={"aiLlmId": "llm-2"}).status_code == 500
    assert api.get(STATS, params={"aiLlmId": "llm-1"}).status_code == 200
    server.clear("/policy/*")
    assert api.get("/policy/alerts").status_code == 200
    assert api.get(STATS, params={"aiLlmId": "llm-2"}).status_code == 500
    server.clear()
    assert api.get(STATS, params={"aiLlmId": "llm-2"}).status_code == 200


@pytest.mark.parametrize("status", [200, 502])
def test_a_proxy_may_answer_with_a_page(api, server, status):
    server.answer_html(STATS, status)
    response = api.get(STATS)
    assert response.status_code == status
    assert response.headers["Content-Type"].startswith("text/html")
    assert response.text.startswith("<!DOCTYPE html>")


def test_an_answer_may_be_empty(api, server):
    server.answer_nothing(STATS)
    response = api.get(STATS)
    assert (response.status_code, response.content) == (200, b"")


def test_success_false_may_come_with_200(api, server):
    server.refuse(STATS, "quota exceeded")
    assert refusal(api.get(STATS)) == (200, "quota exceeded")


def test_json_may_be_cut_off_as_if_that_were_all(api, server):
    whole = api.get(STATS).content
    server.cut_off(STATS)
    response = api.get(STATS)
    assert response.content == whole[: len(whole) // 2]
    with pytest.raises(json.JSONDecodeError):
        response.json()


def test_a_connection_may_break_off_before_the_announced_length(api, server):
    server.cut_off(STATS, announced=True)
    with pytest.raises(httpx.RemoteProtocolError):
        api.get(STATS)


def test_a_connection_may_be_reset(api, server):
    server.reset_connection(STATS, times=1)
    with pytest.raises(httpx.ReadError, match="reset by peer"):
        api.get(STATS)
    assert get(api, STATS)


def test_an_answer_may_drip_byte_by_byte(api, server):
    server.drip(STATS, 0.0, times=1)
    assert get(api, STATS)["stats"]
    server.drip(STATS, 0.02)
    with api.stream("GET", STATS) as response:
        assert len(next(response.iter_raw())) < 10 < int(response.headers["Content-Length"])


def test_an_answer_may_come_late(api, server):
    server.delay(STATS, 0.2, times=1)
    with pytest.raises(httpx.ReadTimeout):
        api.get(STATS, timeout=httpx.Timeout(5.0, read=0.05))
    assert get(api, STATS)


def test_a_scenarios_outage_comes_and_goes_by_the_simulated_clock(api, server, clock):
    server.schedule(find_scenario("outage").faults, origin=START)
    seen = []
    for _ in range(8):
        seen.append(api.get(STATS).status_code)
        clock.tick(minutes=2)
    assert seen == [200, 200, 503, 503, 503, 503, 503, 200]


def test_a_fault_that_never_happens_is_refused(server):
    with pytest.raises(ValueError, match="expected 1 or more, got 0"):
        server.fail(STATS, times=0)


def test_a_quota_is_of_all_requests_together_and_says_when_the_next_is_answered(api, server, clock):
    server.limit(2)
    assert get(api, STATS)
    clock.tick(seconds=20)
    assert get(api, "/ai/llm")
    clock.tick(seconds=1)
    refused = api.get(STATS)
    assert (refusal(refused), refused.headers["Retry-After"]) == ((429, "Too many requests"), "39")
    clock.tick(seconds=39)
    assert api.get(STATS).status_code == 200
    assert api.get(STATS).headers["Retry-After"] == "20"
    server.limit(None)
    assert api.get(STATS).status_code == 200


# ---- the control surface


def test_another_process_can_drive_the_world(api, server):
    def order(act: str, **fields: object) -> None:
        assert api.post(f"/_control/{act}", json=fields).json() == {"success": True}

    order("bump", ai_llm="support-chat", counter="policy_violations", amount=2)
    order("bump", ai_llm="llm-1", counter="tokens_in", amount=str(2**65))
    order("violate", ai_llm="llm-1", count=3, severity="HIGH", block=True, explanation="why")
    order("set_total", ai_llm="llm-2", counter="api_calls", value=11)
    order("remove", ai_llm="code-review")
    order("add", id="llm-3")
    [chat, added] = get(api, STATS)["stats"]
    assert (chat["totalPolicyViolations"], chat["totalTokensIn"], chat["totalBlocks"]) == ("5", str(2**65), "3")
    assert added["aiLlmId"] == "llm-3"
    order("reset", ai_llm="llm-1")
    assert get(api, STATS, aiLlmId="llm-1")["stats"][0]["totalPolicyViolations"] == "0"
    order("fail", path=STATS, status=429, times=1, retry_after=2)
    order("fail", path=STATS, kind="refuse", message="no")
    assert api.get(STATS).headers["Retry-After"] == "2"
    assert refusal(api.get(STATS)) == (200, "no")
    order("clear")
    order("limit", requests=1, seconds="30")
    assert [api.get(STATS).status_code for _ in range(2)] == [200, 429]
    order("limit", requests=None)
    order("expire")
    assert api.get(STATS).status_code == 401
    counts = api.get("/_control/requests").json()["requests"]
    assert counts == {f"GET {STATS}": 7}


@pytest.mark.parametrize(
    ("kind", "status"),
    [("html", 502), ("empty", 200), ("cut_off", 200), ("drip", 200), ("delay", 200), ("status", 503)],
)
def test_another_process_can_order_each_kind_of_fault(api, server, kind, status):
    ordered = {"path": STATS, "kind": kind, "seconds": 0}
    assert api.post("/_control/fail", json=ordered).status_code == 200
    assert api.get(STATS).status_code == status


@pytest.mark.parametrize("kind", ["reset", "broken_off"])
def test_another_process_can_order_a_broken_connection(api, server, kind):
    api.post("/_control/fail", json={"path": STATS, "kind": kind})
    with pytest.raises(httpx.TransportError):
        api.get(STATS)


@pytest.mark.parametrize(
    ("act", "fields", "problem"),
    [
        ("bump", {"ai_llm": "llm-1", "counter": "api_calls"}, "'amount' is required"),
        ("bump", {"ai_llm": "nobody", "counter": "api_calls", "amount": 1}, "none called 'nobody'"),
        ("bump", {"ai_llm": "llm-1", "counter": "nothing", "amount": 1}, "expected one of api_calls"),
        ("violate", {"ai_llm": "llm-1", "severity": "SEVERE"}, "not a valid Severity"),
        ("fail", {"path": STATS, "kind": "explode"}, "there is no 'explode'"),
        ("fail", {"path": STATS, "times": "often"}, "times: expected a whole number"),
        ("fail", ["not", "an", "object"], "expected a JSON object"),
        ("dance", {}, "no such act"),
    ],
)
def test_a_wrong_order_says_what_is_wrong(api, act, fields, problem):
    response = api.post(f"/_control/{act}", json=fields)
    status, message = refusal(response)
    assert status == 400
    assert problem in message


def test_a_web_page_cannot_drive_the_world(api):
    response = api.post("/_control/clear", headers={"Origin": "https://evil.example"})
    assert response.status_code == 403


# ---- life


def test_the_server_can_stop_and_come_back_on_its_port(server, api):
    url = server.url
    assert get(api, STATS)
    server.stop()
    server.stop()
    with pytest.raises(httpx.ConnectError):
        api.get(STATS)
    server.start()
    assert server.url == url
    assert get(api, STATS)


def test_a_stop_does_not_wait_for_a_dripping_answer(world, clock):
    server = FlashbackServer(world, clock=clock)
    server.start()
    server.drip(STATS, 30.0)
    with open_client(server) as client, client.stream("GET", STATS) as response:
        arriving = response.iter_raw()
        next(arriving)
        server.stop()
        with pytest.raises(httpx.TransportError):
            list(arriving)


def test_a_taken_port_is_said_at_the_start(server, world, clock):
    second = FlashbackServer(world, clock=clock, port=int(server.url.rsplit(":", 1)[1]))
    with pytest.raises(OSError, match="address"):
        second.start()
    with pytest.raises(RuntimeError, match="running already"):
        server.start()
