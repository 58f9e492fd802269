package gitlabtest

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// paging are the parameters of every list.
const paging = "page per_page pagination"

const (
	defaultPage = 20
	largestPage = 100
	countedRows = 10000 // above, GitLab does not count
)

// paged is one page of rows, with the headers that lead to the others.
func paged[T any](c *call, rows []T, show func(T) any) reply {
	page, size := int64(1), int64(defaultPage)
	for name, v := range map[string]*int64{"page": &page, "per_page": &size} {
		n, fine := c.params.number(name)
		switch {
		case !fine:
			return invalid(name + " is invalid")
		case c.params.given(name) && n <= 0:
			return invalid(name + " has a value not allowed")
		case n > 0:
			*v = n
		}
	}
	size = min(size, largestPage)
	total := int64(len(rows))
	last := max((total+size-1)/size, 1)
	from := min((page-1)*size, total)
	to := min(from+size, total)
	shown := []any{}
	for _, row := range rows[from:to] {
		shown = append(shown, show(row))
	}
	h := http.Header{}
	h.Set("X-Page", strconv.FormatInt(page, 10))
	h.Set("X-Per-Page", strconv.FormatInt(size, 10))
	h.Set("X-Next-Page", pageIf(page < last, page+1))
	h.Set("X-Prev-Page", pageIf(page > 1, page-1))
	links := []string{c.link("first", 1, size)}
	if page > 1 {
		links = append(links, c.link("prev", page-1, size))
	}
	if page < last {
		links = append(links, c.link("next", page+1, size))
	}
	if total <= countedRows {
		h.Set("X-Total", strconv.FormatInt(total, 10))
		h.Set("X-Total-Pages", strconv.FormatInt(last, 10))
		links = append(links, c.link("last", last, size))
	}
	h.Set("Link", strings.Join(links, ", "))
	return reply{code: 200, body: shown, header: h}
}

func pageIf(there bool, page int64) string {
	if !there {
		return ""
	}
	return strconv.FormatInt(page, 10)
}

func (c *call) link(rel string, page, size int64) string {
	q := url.Values{}
	for k, v := range c.entry.Query {
		q[k] = v
	}
	q.Set("page", strconv.FormatInt(page, 10))
	q.Set("per_page", strconv.FormatInt(size, 10))
	return fmt.Sprintf(`<%s%s?%s>; rel="%s"`, c.URL, c.req.URL.EscapedPath(), q.Encode(), rel)
}
