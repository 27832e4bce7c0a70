# Makes the cards of a User Mode Linux guest: its own (vec0, vec1, ..) know no carrier. A card is one
# end of a veth pair, and what comes out of the other end goes into the cable, and back. While the
# other end is down (the lab does that when a cable is pulled), the card has no carrier. All that is
# not a card stands in a name space of its own, where nobody who looks for cards finds it.
set -e
read -r words </proc/cmdline
pulled=${words##*lab.pulled=}
pulled=,${pulled%% *},
modprobe -a veth sch_ingress cls_matchall act_mirred
if [ -e /run/netns/cables ]; then exit 0; fi
ip netns add cables

# Each program is started once, with all that it shall do.
here='' there='' carry=''
while read -r name mac cable; do
    here="$here
link add $name address $mac type veth peer name $name netns cables"
    # Nobody shall speak on these by themselves.
    there="$there
link set $name addrgenmode none"
    if [ "$cable" != - ]; then
        here="$here
link set vec$cable netns cables"
        there="$there
link set vec$cable addrgenmode none promisc on up"
        for way in "vec$cable $name" "$name vec$cable"; do
            carry="$carry
qdisc add dev ${way% *} clsact
filter add dev ${way% *} ingress matchall action mirred egress redirect dev ${way#* }"
        done
    fi
    case $pulled in
    *,$name,*) ;;
    *) there="$there
link set $name up" ;;
    esac
done <"/usr/local/lib/hapair-lab/$(uname -n).cards"
echo "$here" | ip -batch -
echo "$there" | ip -n cables -batch -
echo "$carry" | tc -n cables -batch -
