package auth

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// networks is a list of networks and single addresses.
type networks []netip.Prefix

// parseNetworks reads "10.0.0.0/8, 192.0.2.7 2001:db8::/32".
func parseNetworks(text string) (networks, error) {
	var list networks
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' || r == '\r' }) {
		p, err := netip.ParsePrefix(word)
		if err != nil {
			a, addrErr := netip.ParseAddr(word)
			if addrErr != nil || a.Zone() != "" {
				return nil, fmt.Errorf("want addresses and networks such as 192.0.2.7 or 10.0.0.0/8, not %q", word)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is4In6() {
			return nil, fmt.Errorf("write the IPv4 network %q in IPv4 form", word)
		}
		list = append(list, p.Masked())
	}
	return list, nil
}

func (n networks) contain(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(n, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Client is the address of who called: the peer, or where the peer is a trusted
// proxy the last address in X-Forwarded-For that is none. What stands left of it
// is the caller's own claim and is not read. The zero Addr is an unknown caller.
func (v *Verifier) Client(h http.Header, peer netip.Addr) netip.Addr {
	peer = peer.Unmap()
	if !v.proxies.contain(peer) {
		return peer
	}
	hops := strings.Split(strings.Join(h.Values("X-Forwarded-For"), ","), ",")
	client := peer
	for _, hop := range slices.Backward(hops) {
		hop = strings.TrimSpace(hop)
		if hop == "" {
			continue
		}
		a, ok := parseHop(hop)
		if !ok {
			return netip.Addr{}
		}
		client = a
		if !v.proxies.contain(a) {
			break
		}
	}
	return client
}

// parseHop reads an address that may carry a port, as some proxies write it.
func parseHop(hop string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.Trim(hop, "[]")); err == nil {
		return a.Unmap(), true
	}
	ap, err := netip.ParseAddrPort(hop)
	return ap.Addr().Unmap(), err == nil
}

func (v *Verifier) checkAddress(h http.Header, peer netip.Addr) error {
	if len(v.allow) == 0 {
		return nil
	}
	client := v.Client(h, peer)
	switch {
	case !client.IsValid():
		return refuse(CodeAddress, "the caller's address is unknown, and REMORA_WEBHOOK_ALLOW is set")
	case !v.allow.contain(client):
		return refuse(CodeAddress, "%s is not in REMORA_WEBHOOK_ALLOW", client)
	}
	return nil
}
