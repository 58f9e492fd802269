package mirror

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// address is where a Git remote is. It holds no secret.
type address struct {
	scheme string // https, http or ssh
	user   string // of SSH
	host   string // without port
	port   string // empty: the scheme's own
	path   string // as the server wants it
}

func (a address) ssh() bool { return a.scheme == "ssh" }

// hostPort is what to dial.
func (a address) hostPort() string {
	port := a.port
	if port == "" {
		port = map[string]string{"https": "443", "http": "80", "ssh": "22"}[a.scheme]
	}
	return net.JoinHostPort(a.host, port)
}

// String is the address as a URL, without user for HTTP.
func (a address) String() string {
	host := a.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if a.port != "" {
		host += ":" + a.port
	}
	u := url.URL{Scheme: a.scheme, Host: host, Path: "/" + strings.TrimPrefix(a.path, "/")}
	if a.ssh() {
		u.User = url.User(a.user)
	}
	return u.String()
}

// web is where a person can look at it; empty for SSH, which does not tell.
func (a address) web() string {
	if a.ssh() {
		return ""
	}
	return strings.TrimSuffix(a.String(), ".git")
}

// plainText says whether what is sent to the address can be read on the way.
func (a address) plainText() bool {
	if a.scheme != "http" || a.host == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(a.host)
	return err != nil || !ip.IsLoopback()
}

// same says whether both lead to one repository over HTTP.
func (a address) same(b address) bool {
	plain := func(x address) string {
		x.scheme, x.host = "https", strings.ToLower(x.host)
		return strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(x.String(), "/"), ".git"))
	}
	return a.scheme == b.scheme && plain(a) == plain(b)
}

// scpLike is git@host:path, as Git knows it.
var scpLike = regexp.MustCompile(`^(?:([^@:/\s]+)@)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(.+)$`)

// parseAddress reads https://, http://, ssh:// and git@host:path. Its errors do
// not repeat the address, which may hold a secret.
func parseAddress(raw string) (address, error) {
	raw = strings.TrimSpace(raw)
	if strings.ContainsFunc(raw, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		return address{}, errors.New("has a space or a control character in it")
	}
	var a address
	var err error
	if strings.Contains(raw, "://") {
		a, err = parseURL(raw)
	} else {
		a, err = parseSCP(raw)
	}
	switch {
	case err != nil:
		return address{}, err
	case strings.HasPrefix(a.host, "-") || strings.HasPrefix(a.user, "-"):
		return address{}, errors.New("host and user must not begin with a dash")
	case strings.Trim(a.path, "/") == "":
		return address{}, errors.New("names no repository; add its path, such as /group/project.git")
	}
	return a, nil
}

func parseSCP(raw string) (address, error) {
	m := scpLike.FindStringSubmatch(raw)
	if m == nil || (m[1] == "" && len(m[2]) == 1) {
		return address{}, errors.New("must be https://host/path.git, ssh://git@host/path.git or git@host:path.git; local paths are not taken")
	}
	a := address{scheme: "ssh", user: m[1], host: strings.Trim(m[2], "[]"), path: m[3]}
	if a.user == "" {
		a.user = "git"
	}
	return a, nil
}

func parseURL(raw string) (address, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return address{}, errors.New("is no well-formed URL")
	}
	a := address{scheme: strings.ToLower(u.Scheme), host: u.Hostname(), port: u.Port(), path: u.Path}
	_, password := u.User.Password()
	switch {
	case a.scheme == "file":
		return address{}, errors.New("file:// is not taken: in a job it would lead into the job's own machine")
	case a.scheme != "https" && a.scheme != "http" && a.scheme != "ssh":
		return address{}, fmt.Errorf("scheme %q is not taken; use https:// or ssh://", a.scheme)
	case a.host == "":
		return address{}, errors.New("has no host in it")
	case u.RawQuery != "" || u.Fragment != "":
		return address{}, errors.New("must have neither ? nor # in it")
	case password:
		return address{}, errors.New("must not hold a password; put user:token into REMORA_MIRROR_TOKEN")
	case a.scheme != "ssh" && u.User != nil:
		return address{}, errors.New("must not hold a user or token; put user:token into REMORA_MIRROR_TOKEN")
	}
	if a.port != "" {
		if n, err := strconv.ParseUint(a.port, 10, 16); err != nil || n == 0 {
			return address{}, errors.New("has a port that is none")
		}
	}
	if a.ssh() {
		a.user = "git"
		if u.User.Username() != "" {
			a.user = u.User.Username()
		}
		if strings.HasPrefix(a.path, "/~") {
			a.path = a.path[1:]
		}
	}
	return a, nil
}
