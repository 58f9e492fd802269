package report

import (
	"net/netip"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is the longest description, URL or ref that GitLab takes, in runes.
const maxText = 255

// clamp makes text fit for one line of a status: valid UTF-8, no control
// characters, at most 255 runes. It cuts where a reader sees a boundary, not
// inside of an emoji or between a letter and its accent.
func clamp(text string) string {
	runes := []rune(line(text))
	if len(runes) <= maxText {
		return string(runes)
	}
	const longest = 32 // a cluster of more is no writing but an attack
	at := maxText - 1
	for at > maxText-1-longest && joined(runes, at) {
		at--
	}
	if joined(runes, at) {
		at = maxText - 1
	}
	return strings.TrimRight(string(runes[:at]), " ") + "…"
}

// line is text on one line, without what is invisible and changes the order of
// reading.
func line(text string) string {
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return ' '
		case unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

const zeroWidthJoiner = '\u200d'

// joined says whether the runes before and at position i are drawn as one.
func joined(runes []rune, i int) bool {
	r := runes[i]
	switch {
	case unicode.In(r, unicode.Mn, unicode.Mc, unicode.Me), r == zeroWidthJoiner, runes[i-1] == zeroWidthJoiner:
		return true
	case r >= 0x1F3FB && r <= 0x1F3FF, r >= 0xE0020 && r <= 0xE007F: // skin tones, tags of flags
		return true
	case r >= 0x1160 && r <= 0x11FF: // the later parts of a Korean syllable
		return true
	case !regional(r):
		return false
	}
	pairs := 0
	for j := i - 1; j >= 0 && regional(runes[j]); j-- {
		pairs++
	}
	return pairs%2 == 1
}

// regional says whether r is half of a country's flag.
func regional(r rune) bool { return r >= 0x1F1E6 && r <= 0x1F1FF }

// link is the first of the addresses that GitLab takes as the target of a status:
// absolute, http or https, at most 255 runes, not this machine. It is empty if
// none is, for a refused address costs the whole status. User and password are
// taken out.
func link(addresses ...string) string {
	for _, raw := range addresses {
		u, err := url.Parse(strings.TrimSpace(raw))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || blocked(u.Hostname()) {
			continue
		}
		u.User = nil
		if text := u.String(); utf8.ValidString(text) && utf8.RuneCountInString(text) <= maxText {
			return text
		}
	}
	return ""
}

// blocked says whether host is one that GitLab takes for itself or its
// neighbours on the wire.
func blocked(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "localhost.localdomain" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		// 127.1 and 2130706433 are no addresses to us, but to others.
		return !strings.ContainsFunc(host, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	}
	ip = ip.Unmap()
	return ip.IsLoopback() || ip.IsUnspecified() || ip.IsLinkLocalUnicast() || ip.IsMulticast() ||
		ip == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
