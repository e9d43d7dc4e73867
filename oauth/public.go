package oauth

import "net/netip"

// global6 is all of IPv6 that is handed out for the public internet. Everything
// outside it (loopback, unique local, link local, multicast, the NAT64 prefixes that
// embed IPv4 addresses) is refused without being listed.
var global6 = netip.MustParsePrefix("2000::/3")

// special are the networks inside IPv4 and global6 that are not the public internet
// (IANA special-purpose address registries).
var special = func() []netip.Prefix {
	var list []netip.Prefix
	for _, text := range []string{
		"0.0.0.0/8",       // this network
		"10.0.0.0/8",      // private
		"100.64.0.0/10",   // shared, carrier-grade NAT
		"127.0.0.0/8",     // loopback
		"169.254.0.0/16",  // link local, cloud metadata
		"172.16.0.0/12",   // private
		"192.0.0.0/24",    // protocol assignments
		"192.0.2.0/24",    // documentation
		"192.88.99.0/24",  // 6to4 relays
		"192.168.0.0/16",  // private
		"198.18.0.0/15",   // benchmarks
		"198.51.100.0/24", // documentation
		"203.0.113.0/24",  // documentation
		"224.0.0.0/4",     // multicast
		"240.0.0.0/4",     // reserved, broadcast
		"2001::/23",       // protocol assignments; Teredo embeds IPv4
		"2001:db8::/32",   // documentation
		"2002::/16",       // 6to4 embeds IPv4
		"3fff::/20",       // documentation
	} {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}()

// isPublic reports whether ip is on the public internet. An IPv4 address inside an
// IPv6 one is judged as IPv4 when it is IPv4-mapped, and refused otherwise.
func isPublic(ip netip.Addr) bool {
	if !ip.IsValid() || ip.Zone() != "" {
		return false
	}
	ip = ip.Unmap()
	if ip.Is6() && !global6.Contains(ip) {
		return false
	}
	for _, p := range special {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}
