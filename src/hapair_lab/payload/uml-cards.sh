# Makes the cards of a User Mode Linux guest: its own (vec0, vec1, ..) know no carrier. A card is one
# end of a veth pair, and what comes out of the other end goes into the cable, and back. While the
# other end is down (the lab does that when a cable is pulled), the card has no carrier. All that is
# not a card stands in a name space of its own, where nobody who looks for cards finds it.
set -e
pulled=$(sed -n 's/.*lab\.pulled=\([^ ]*\).*/,\1,/p' /proc/cmdline)
modprobe -a veth sch_ingress cls_matchall act_mirred
[ -e /run/netns/cables ] || ip netns add cables
carry() {
    tc -n cables qdisc add dev "$1" clsact
    tc -n cables filter add dev "$1" ingress matchall action mirred egress redirect dev "$2"
}
while read -r name mac cable; do
    [ ! -e "/sys/class/net/$name" ] || continue
    ip link add "$name" address "$mac" type veth peer name "$name" netns cables
    # Nobody shall speak on these by themselves.
    ip -n cables link set "$name" addrgenmode none
    if [ "$cable" != - ]; then
        ip link set "vec$cable" netns cables
        ip -n cables link set "vec$cable" addrgenmode none promisc on up
        carry "vec$cable" "$name"
        carry "$name" "vec$cable"
    fi
    case $pulled in
    *,$name,*) ;;
    *) ip -n cables link set "$name" up ;;
    esac
done <"/usr/local/lib/hapair-lab/$(uname -n).cards"
