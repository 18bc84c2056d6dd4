"""bgp-announce and anycast-vip with real bgpd, bfdd and zebra."""
