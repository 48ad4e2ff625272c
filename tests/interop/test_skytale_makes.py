"""Members of all three makes in one channel, padding between them, and the names that all of them have.

0.5.2 pads what it sends and 0.3.0 cannot read that; everything else everybody reads of everybody.
"""

import json
import subprocess

import pytest
from skytale import makes

NAME = "acme/team/general"
MAKES = ["0.3.0", "0.5.2", "ours"]


@pytest.mark.parametrize("creator", MAKES)
def test_all_makes_talk_in_one_channel(member, creator):
    members = {make: member(make, f"of-{make}") for make in [creator, *(make for make in MAKES if make != creator)]}
    first, second, third = members.values()
    first.create(NAME)
    first.invite(NAME, second)
    first.invite(NAME, third)
    # Who speaks before it has read who came in is not read by the newcomer.
    first.send(NAME, b"all are here")
    for make, other in list(members.items())[1:]:
        if (creator, make) != ("0.5.2", "0.3.0"):
            assert other.receive(NAME) == b"all are here", make

    said = {make: b"from %s" % make.encode() for make in MAKES}
    for make in ("0.5.2", "0.3.0", "ours"):
        members[make].send(NAME, said[make])
        for other in MAKES:
            # What 0.3.0 cannot read, it leaves out; the next thing that it hears is what comes after it.
            if other != make and (make, other) != ("0.5.2", "0.3.0"):
                assert members[other].receive(NAME) == said[make], (make, other)


def test_members_that_pad_are_read_by_those_who_know_padding(member):
    padding, plain = member("ours", "padding", padding=True), member("ours", "plain")
    knows, knows_not = member("0.5.2", "knows"), member("0.3.0", "knows-not")
    padding.create(NAME)
    for other in (plain, knows, knows_not):
        padding.invite(NAME, other)
    payloads = [b"", b"short", bytes(1000), bytes(range(256)) * 1024]

    for payload in payloads:
        padding.send(NAME, payload)
    assert [plain.receive(NAME) for _ in payloads] == payloads
    plain.send(NAME, b"without padding")

    assert [knows.receive(NAME) for _ in payloads] == payloads
    assert knows.receive(NAME) == b"without padding"
    # That 0.3.0 reads none of it shows that the padding is on the wire.
    assert knows_not.receive(NAME) == b"without padding"
    knows.send(NAME, b"padded by the published one")
    assert [padding.receive(NAME), padding.receive(NAME)] == [b"without padding", b"padded by the published one"]
    assert plain.receive(NAME) == b"padded by the published one"


# Prints what each module has of the package, as [where it was made, its arguments]; a class has no arguments here.
SURFACE = """
import importlib, inspect, json
found = {}
for module in ("skytale_sdk", "skytale_sdk.envelope", "skytale_sdk.bridge", "skytale_sdk.channels", "skytale_sdk.errors",
               "skytale_sdk.integrations._a2a", "skytale_sdk.integrations._slim", "skytale_sdk.integrations._mcp_transport",
               "skytale_sdk.integrations._langgraph", "skytale_sdk.integrations._crewai"):
    for name, thing in vars(importlib.import_module(module)).items():
        home = getattr(thing, "__module__", "")
        if name.startswith("_") or home.partition(".")[0] not in ("skytale_sdk", "builtins"):
            continue
        if inspect.isfunction(thing):
            found[f"{module}:{name}"] = [home, list(inspect.signature(thing).parameters)]
        elif inspect.isclass(thing):
            found[f"{module}:{name}"] = [home, None]
            for method in vars(thing):
                if callable(getattr(thing, method)) and not method.startswith("_"):
                    signature = inspect.signature(getattr(thing, method))
                    found[f"{module}:{name}.{method}"] = [home, [one for one in signature.parameters if one != "self"]]
print(json.dumps(found))
"""

# What the published manager holds inside; no document names it.
INSIDE = "skytale_sdk.channels:ChannelHandle"
# The documents name some arguments otherwise than the package; ours takes both names.
DOCUMENTED = {"source_channel": "source", "target_channel": "target", "welcome_bytes": "welcome"}


def surface(make):
    done = subprocess.run([makes()[make], "-c", SURFACE], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_every_name_of_the_published_package_is_in_ours_with_its_arguments():
    published, ours = surface("0.3.0"), surface("ours")
    # What a module only imports is no name of it; the package itself is made of imports.
    theirs = {
        name: arguments
        for name, (home, arguments) in published.items()
        if name.startswith(("skytale_sdk:", f"{home}:")) and not name.startswith(INSIDE)
    }

    assert len(theirs) > 50
    assert set(theirs) - set(ours) == set()
    for name, arguments in theirs.items():
        if arguments is not None and arguments != ["kwargs"]:
            wanted = [DOCUMENTED.get(argument, argument) for argument in arguments]
            assert ours[name][1][: len(wanted)] == wanted, name


def test_what_later_published_members_have_for_groups_is_in_ours_too():
    theirs, ours = surface("0.5.2"), surface("ours")

    for kind in ("SkytaleClient", "SkytaleChannelManager"):
        for method in ("export_audit_key", "rotate_key"):
            name = f"skytale_sdk:{kind}.{method}"
            assert ours[name][1] == theirs[name][1]
