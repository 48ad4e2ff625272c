#!/bin/sh
# Runs our daemon against the published one, unmodified, inside a private network namespace.
#
# The published daemon binds every interface and asks the router for a port mapping, so it is never
# started where it could reach a network: the namespace has a loopback device and nothing else.
#
#   TOQ_BIN=target/debug/toq tests/interop/run.sh [pytest arguments]
#
# TOQ_BIN            our binary (required)
# PUBLISHED_TOQ_BIN  the published binary; installed into the cache when unset
# TOQ_INTEROP_SKYTALE_OURS  a Python that has our skytale_sdk (required)
# TOQ_CACHE          where downloads and environments live, default .cache
set -eu

version=0.1.0-alpha.2
client=0.1.0a1
plugins=0.1.0a1
skytale='0.3.0 0.5.2'

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mkdir -p "${TOQ_CACHE:-.cache}"
cache=$(CDPATH='' cd -- "${TOQ_CACHE:-.cache}" && pwd)

absolute() {
    printf '%s/%s\n' "$(CDPATH='' cd -- "$(dirname -- "$1")" && pwd)" "$(basename -- "$1")"
}

[ -x "${TOQ_BIN:-}" ] || { echo "run.sh: TOQ_BIN must name our toq binary" >&2; exit 2; }
TOQ_BIN=$(absolute "$TOQ_BIN")

if [ -z "${PUBLISHED_TOQ_BIN:-}" ]; then
    PUBLISHED_TOQ_BIN=$cache/published/bin/toq
    if [ ! -x "$PUBLISHED_TOQ_BIN" ]; then
        echo "run.sh: installing toq-cli $version into $cache/published"
        # From the root of the file system, so that no configuration of this checkout applies to a stranger's build.
        (cd / && CARGO_TARGET_DIR="$cache/published-target" cargo install --quiet --debug --locked \
            --root "$cache/published" toq-cli --version "$version")
        rm -rf "$cache/published-target"
    fi
fi
PUBLISHED_TOQ_BIN=$(absolute "$PUBLISHED_TOQ_BIN")
[ "$("$PUBLISHED_TOQ_BIN" --version)" = "toq $version" ] || {
    echo "run.sh: $PUBLISHED_TOQ_BIN is not toq $version" >&2
    exit 2
}

python=$cache/published-client/bin/python
if ! "$python" -c 'import pytest, httpx, toq' 2>/dev/null; then
    python3 -m venv --clear "$cache/published-client"
    # The exact pin admits this one pre-release; --pre would also pull a broken httpx.
    "$python" -m pip install --quiet --disable-pip-version-check pytest httpx "toq==$client"
fi

# Each framework in an environment of its own, as the plugins are used; both are fetched at the same time.
TOQ_INTEROP_PLUGINS=$cache/published-plugins-$plugins
plugin() {
    ready=$TOQ_INTEROP_PLUGINS/$1/.$2
    [ ! -e "$ready" ] || return 0
    echo "run.sh: installing toq-$1 $plugins with ${2%==*} ${2#*==} into $TOQ_INTEROP_PLUGINS"
    python3 -m venv --clear "$TOQ_INTEROP_PLUGINS/$1"
    "$TOQ_INTEROP_PLUGINS/$1/bin/python" -m pip install --quiet --disable-pip-version-check \
        "toq==$client" "toq-plugins-common==$plugins" "toq-$1==$plugins" "$2"
    touch "$ready"
}
plugin langchain langchain-core==1.7.2 & langchain=$!
plugin crewai crewai==1.15.30
wait "$langchain"

# Members of encrypted channels, each version in an environment of its own.
TOQ_INTEROP_SKYTALE=$cache/published-skytale
for wheel in $skytale; do
    if [ ! -e "$TOQ_INTEROP_SKYTALE/$wheel/.ready" ]; then
        echo "run.sh: installing skytale-sdk $wheel into $TOQ_INTEROP_SKYTALE"
        python3 -m venv --clear "$TOQ_INTEROP_SKYTALE/$wheel"
        "$TOQ_INTEROP_SKYTALE/$wheel/bin/python" -m pip install --quiet --disable-pip-version-check "skytale-sdk==$wheel"
        touch "$TOQ_INTEROP_SKYTALE/$wheel/.ready"
    fi
done
"${TOQ_INTEROP_SKYTALE_OURS:-false}" -c 'import skytale_sdk' || {
    echo "run.sh: TOQ_INTEROP_SKYTALE_OURS must name a Python that has our skytale_sdk; \`make interop\` makes one" >&2
    exit 2
}

isolate="unshare --net"
$isolate true 2>/dev/null || isolate="unshare --map-root-user --net"
$isolate true 2>/dev/null || { echo "run.sh: cannot create a network namespace" >&2; exit 2; }

unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY TOQ_URL TOQ_CONFIG_DIR
unset SKYTALE_RELAY SKYTALE_API_KEY SKYTALE_API_URL SKYTALE_DATA_DIR SKYTALE_MOCK
export TOQ_BIN PUBLISHED_TOQ_BIN TOQ_INTEROP_PLUGINS TOQ_INTEROP_SKYTALE TOQ_INTEROP_SKYTALE_OURS
export TOQ_INTEROP_NETNS=1 PYTHONDONTWRITEBYTECODE=1
exec $isolate "$python" "$here/netns.py" "$python" -m pytest -p no:cacheprovider -q "$@" "$here"
