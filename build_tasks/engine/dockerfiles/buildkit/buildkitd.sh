#!/bin/sh
# Run a Docker Engine whose state is where buildx keeps a builder's, until this script is ended.
# The container may have the machine's network. So the bridge has a name and addresses that nothing
# else has, and is removed with its firewall rules when the engine ends.
set -eu
configuration=
[ "${1-}" = --config ] && configuration=$2
# The bridge's name lasts: after a kill, the bridge that was left is removed here.
mkdir -p /var/lib/buildkit
name_file=/var/lib/buildkit/bridge
[ -s $name_file ] || echo "afb-$(od -An -N4 -tx1 /dev/urandom | tr -d ' ')" > $name_file
bridge=$(cat $name_file)
remove_bridge() {
    for table in nat filter; do
        iptables -t $table -S | grep -w -- "$bridge" | sed 's/^-A/-D/' | while read -r rule; do
            # shellcheck disable=SC2086 # the words of a rule
            iptables -t $table $rule
        done
    done
    ip link delete "$bridge" 2> /dev/null || true
}
remove_bridge
while
    network="10.214.$(od -An -N1 -tu1 /dev/urandom | tr -d ' ')"
    ip -4 address | grep -q "inet ${network}[.]"
do :; done
engine=
end() {
    trap '' TERM INT
    if [ "$engine" ]; then
        kill "$engine" 2> /dev/null || true
        wait "$engine" || true
    fi
    remove_bridge
    exit 0
}
trap end TERM INT
ip link add "$bridge" type bridge
ip address add "$network.1/24" dev "$bridge"
ip link set "$bridge" up
iptables -t nat -I POSTROUTING -s "$network.0/24" ! -o "$bridge" -j MASQUERADE
iptables -I FORWARD -i "$bridge" -j ACCEPT
iptables -I FORWARD -o "$bridge" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
mkdir -p /etc/docker
daemon-json "$bridge" "$configuration" > /etc/docker/daemon.json
rm -rf /var/run/docker.pid /var/run/docker
dockerd &
engine=$!
wait "$engine" || true
end
