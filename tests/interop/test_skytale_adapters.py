"""The adapters of the published `skytale_sdk` and ours understand each other, and so do bridges of either make."""


import pytest

PUBLISHED = ["0.3.0", "0.5.2"]
LEFT, RIGHT = "acme/bridge/left", "acme/bridge/right"


@pytest.fixture
def agent(member):
    """Starts agents: `agent("0.3.0", "alice")`."""
    return lambda make, name: member(make, name, program="skytale_adapters.py")


@pytest.fixture(params=PUBLISHED)
def both(request, agent):
    """An agent of ours and a published one."""
    return agent("ours", "ours"), agent(request.param, "theirs")


def test_agents_of_both_makes_talk_a2a(both):
    ours, theirs = both
    ours.create("org/a2a/research")
    ours.invite("org/a2a/research", theirs)

    ours.do("a2a_send", context="research", parts=[{"type": "text", "text": "Hello"}])
    (heard,) = theirs.do("a2a_receive", context="research")
    theirs.do("a2a_send", context="research", parts=[{"type": "data", "data": {"n": [1, None]}}])
    (answer,) = ours.do("a2a_receive", context="research")

    # 0.5.2 wraps what it sends, and hands out what it receives as it is.
    assert (heard["agentId"], heard["contextId"], heard["parts"]) == ("agent-of-ours", "research", [{"type": "text", "text": "Hello"}])
    assert answer["parts"] == [{"type": "data", "data": {"n": [1, None]}}]
    assert {"messageId", "role"} <= set(answer)


def test_agents_of_both_makes_publish_and_call(both):
    ours, theirs = both
    theirs.create(LEFT)
    theirs.invite(LEFT, ours)

    theirs.do("slim_publish", name=LEFT, payload="00ff")
    assert ours.do("slim_receive", name=LEFT) == ["00ff"]
    ours.do("slim_publish", name=LEFT, payload="")
    assert theirs.do("slim_receive", name=LEFT) == [""]
    theirs.do("mcp_write", name=LEFT, message={"jsonrpc": "2.0", "method": "ping", "id": 1})
    assert ours.do("mcp_read", name=LEFT) == {"jsonrpc": "2.0", "method": "ping", "id": 1}
    ours.do("mcp_write", name=LEFT, message={"jsonrpc": "2.0", "result": {"ü": None}, "id": 1})
    assert theirs.do("mcp_read", name=LEFT) == {"jsonrpc": "2.0", "result": {"ü": None}, "id": 1}


@pytest.mark.parametrize("make", PUBLISHED)
@pytest.mark.parametrize("bridging", ["ours", "theirs"])
def test_a_bridge_of_either_make_stands_between_agents_of_the_other(agent, make, bridging):
    bridge, others = (agent("ours", "bridge"), make) if bridging == "ours" else (agent(make, "bridge"), "ours")
    left, right = agent(others, "left"), agent(others, "right")
    for end, name in ((left, LEFT), (right, RIGHT)):
        end.create(name)
        end.invite(name, bridge)
    bridge.do("begin_bridge", source=LEFT, target=RIGHT, source_protocol="mcp", target_protocol="slim")
    bridge.do("begin_bridge", source=RIGHT, target=LEFT, source_protocol="slim", target_protocol="mcp")

    request = {"jsonrpc": "2.0", "method": "tools/list", "id": 7}
    left.do("mcp_write", name=LEFT, message=request)
    (passed,) = right.do("slim_receive", name=RIGHT)
    right.do("slim_publish", name=RIGHT, payload="00")

    assert bytes.fromhex(passed) == b'{"jsonrpc":"2.0","method":"tools/list","id":7}'
    assert left.do("mcp_read", name=LEFT) == {"jsonrpc": "2.0", "method": "message", "params": {"data": "AA=="}}
