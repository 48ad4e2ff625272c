"""Members with the published `skytale_sdk`, unmodified, and members with ours, on our relay in anonymous mode.

What a published member cannot do is not asked of it: it does not come back, it cannot present a token, and 0.3.0 reads no padded
messages.
"""


import pytest
from skytale import Member

NAME = "acme/team/general"
PUBLISHED = ["0.3.0", "0.5.2"]


def hears(listener: Member, *wanted: bytes) -> None:
    """What comes next is exactly this, in this order."""
    assert [listener.receive(NAME) for _ in wanted] == list(wanted)


@pytest.mark.parametrize("make", PUBLISHED)
def test_two_published_members_talk_both_ways(member, make):
    alice, bob = member(make, "alice"), member(make, "bob")
    alice.create(NAME)
    alice.invite(NAME, bob)

    for number in range(20):
        alice.send(NAME, b"to bob %d" % number)
        bob.send(NAME, b"to alice %d" % number)

    hears(bob, *[b"to bob %d" % number for number in range(20)])
    hears(alice, *[b"to alice %d" % number for number in range(20)])


@pytest.mark.parametrize("make", PUBLISHED)
def test_three_published_members_hear_each_other(member, make):
    alice, bob, carol = member(make, "alice"), member(make, "bob"), member(make, "carol")
    alice.create(NAME)
    alice.invite(NAME, bob)
    bob.send(NAME, b"before carol")
    hears(alice, b"before carol")

    bob.invite(NAME, carol)
    carol.send(NAME, b"from carol")
    hears(alice, b"from carol")
    hears(bob, b"from carol")
    alice.send(NAME, b"from alice")

    hears(bob, b"from alice")
    hears(carol, b"from alice")


@pytest.mark.parametrize("make", PUBLISHED)
def test_ours_adds_a_published_member_and_both_talk(member, make):
    ours, theirs = member("ours", "ours"), member(make, "theirs")
    ours.create(NAME)
    ours.invite(NAME, theirs)

    ours.send(NAME, b"from ours")
    theirs.send(NAME, b"from theirs")

    hears(theirs, b"from ours")
    hears(ours, b"from theirs")


@pytest.mark.parametrize("make", PUBLISHED)
def test_a_published_member_adds_ours_and_both_talk(member, make):
    theirs, ours = member(make, "theirs"), member("ours", "ours")
    theirs.create(NAME)
    theirs.invite(NAME, ours)

    theirs.send(NAME, b"from theirs")
    ours.send(NAME, b"from ours")

    hears(ours, b"from theirs")
    hears(theirs, b"from ours")


@pytest.mark.parametrize("make", PUBLISHED)
@pytest.mark.parametrize("creator", ["ours", "published"])
def test_each_make_adds_a_third_member_of_either_make(member, make, creator):
    first = member("ours" if creator == "ours" else make, "first")
    second = member(make if creator == "ours" else "ours", "second")
    third, fourth = member(make, "third"), member("ours", "fourth")
    first.create(NAME)
    first.invite(NAME, second)
    first.send(NAME, b"are you there?")
    hears(second, b"are you there?")

    second.invite(NAME, third)
    third.send(NAME, b"third is here")
    hears(first, b"third is here")
    hears(second, b"third is here")
    first.invite(NAME, fourth)
    fourth.send(NAME, b"fourth is here")

    for listener in (first, second, third):
        hears(listener, b"fourth is here")
    second.send(NAME, b"welcome")
    for listener in (first, third, fourth):
        hears(listener, b"welcome")


@pytest.mark.parametrize("owner", ["ours", *PUBLISHED])
@pytest.mark.parametrize("late", ["ours", *PUBLISHED])
def test_who_subscribes_after_a_later_commit_hears_everything_from_then_on(member, owner, late):
    if {owner, late} == {"0.3.0", "0.5.2"}:
        pytest.skip("0.3.0 cannot read what 0.5.2 pads")
    alice, bob, carol = member(owner, "alice"), member(late, "bob"), member(owner, "carol")
    alice.create(NAME)
    welcome = alice.add(NAME, bob.key_package())
    # Bob is a member, but has not heard of it when the group goes on.
    alice.invite(NAME, carol)

    bob.join(NAME, welcome)
    carol_says = b"after two commits"
    bob.send(NAME, b"bob is here")
    hears(alice, b"bob is here")
    hears(carol, b"bob is here")
    carol.send(NAME, carol_says)

    hears(bob, carol_says)
    hears(alice, carol_says)


@pytest.mark.parametrize("owner", ["ours", *PUBLISHED])
def test_what_is_sent_the_moment_ours_has_joined_is_not_missed(member, owner):
    alice, bob = member(owner, "alice"), member("ours", "bob")
    alice.create(NAME)
    welcome = alice.add(NAME, bob.key_package())

    # Before, at, and after: all of it was sent to a group of which bob is a member.
    alice.send(NAME, b"before")
    bob.join(NAME, welcome)
    alice.send(NAME, b"at once")

    assert bob.receive(NAME) in (b"before", b"at once")
    alice.send(NAME, b"later")
    heard = []
    while b"later" not in heard:
        heard.append(bob.receive(NAME))
        assert heard[-1] is not None
    assert heard[-2:] in ([b"at once", b"later"], [b"later"])


@pytest.mark.parametrize("make", PUBLISHED)
def test_a_published_member_follows_when_ours_rotates_its_key(member, make):
    ours, theirs = member("ours", "ours"), member(make, "theirs")
    ours.create(NAME)
    ours.invite(NAME, theirs)

    ours.call(NAME, "rotate_key")
    ours.send(NAME, b"with the new key")

    hears(theirs, b"with the new key")
    theirs.send(NAME, b"heard")
    hears(ours, b"heard")


@pytest.mark.parametrize("make", PUBLISHED)
@pytest.mark.parametrize("size", [0, 1, 65_536, 262_144])
def test_payloads_of_every_size_arrive_whole_between_makes(member, make, size):
    ours, theirs = member("ours", "ours"), member(make, "theirs")
    ours.create(NAME)
    ours.invite(NAME, theirs)
    payload = bytes(number % 251 for number in range(size))

    ours.send(NAME, payload)
    theirs.send(NAME, payload)

    hears(theirs, payload)
    hears(ours, payload)
