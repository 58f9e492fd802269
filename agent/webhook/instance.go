package webhook

import (
	"net/url"
	"strings"
)

// Unreadable stands for an address that is no http URL.
const Unreadable = "unreadable"

// origin is scheme, host and port of a URL, in small letters and without a port
// that goes without saying; or [Unreadable].
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || len(address) > maxURL {
		return Unreadable
	}
	scheme := strings.ToLower(u.Scheme)
	host := strings.ToLower(u.Host)
	switch scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	default:
		return Unreadable
	}
	return scheme + "://" + host
}

// address is a URL in a body; [Unreadable] for one that is too long to be one.
func address(value []byte) string {
	if len(value) > maxURL && value[0] == '"' {
		return Unreadable
	}
	return text(value, maxURL)
}

// hostOf is an origin without its scheme.
func hostOf(origin string) string {
	_, host, _ := strings.Cut(origin, "://")
	return host
}

// pathOf is the path of a project's page.
func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return strings.Trim(u.Path, "/")
}

// instances are the configured ones, by host.
type instances map[string]string

func newInstances(urls []string) instances {
	known := instances{}
	for _, u := range urls {
		if host := hostOf(origin(u)); host != "" {
			known[host] = strings.TrimRight(u, "/")
		}
	}
	return known
}

// place is the configured URL of the instance that an event came from. If any
// origin that the event names is not configured, foreign is true and instance is
// that origin. Scheme does not count: behind a proxy GitLab may not know its own.
func (known instances) place(seen []string) (instance string, foreign bool) {
	for _, origin := range seen {
		configured, ok := known[hostOf(origin)]
		if !ok {
			return origin, true
		}
		if instance == "" {
			instance = configured
		}
	}
	if instance == "" && len(known) == 1 {
		for _, only := range known {
			return only, false
		}
	}
	return instance, false
}
