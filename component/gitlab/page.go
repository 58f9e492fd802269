package gitlab

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"gitlab.com/remora-ci/remora/component/rest"
)

const (
	perPage   = 100 // GitLab's most
	fewOnPage = 10  // when a page of 100 is larger than an answer may be
	mostPages = 10000
)

// list is a list of T to be read page by page.
type list[T any] struct {
	deed, path string
	query      url.Values
	size       int                            // of a page, where 100 are too many; 0: 100
	decode     func(*json.Decoder) (T, error) // reads one element
}

// path is the API path below a project. route may hold slashes; the parts after
// it are escaped.
func (p Project) path(route string, parts ...any) string {
	return joined("projects/"+gl.PathEscape(string(p))+"/"+route, parts...)
}

func joined(route string, parts ...any) string {
	var b strings.Builder
	b.WriteString(route)
	for _, part := range parts {
		b.WriteString("/" + gl.PathEscape(fmt.Sprint(part)))
	}
	return b.String()
}

// pages yields every element of a list. A page is read to its end before its
// first element is yielded, so that a slow reader holds no connection.
func pages[T any](ctx context.Context, c *Client, l list[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		at := position{size: cmp.Or(l.size, perPage), page: 1}
		for range mostPages {
			items, next, err := readPage(ctx, c, l, at)
			var large *rest.TooLargeError
			if errors.As(err, &large) && at.size > fewOnPage && at.link == nil {
				at = position{size: fewOnPage, page: (at.page-1)*at.size/fewOnPage + 1}
				continue
			}
			if err != nil {
				yield(none, failed(l.deed, nil, err))
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == nil {
				return
			}
			at = *next
		}
		yield(none, fmt.Errorf("%s: more than %d pages", l.deed, mostPages))
	}
}

// position is where a page is: a number, or the link that GitLab gave.
type position struct {
	size, page int
	link       *url.URL
}

func readPage[T any](ctx context.Context, c *Client, l list[T], at position) ([]T, *position, error) {
	q := url.Values{}
	for k, v := range l.query {
		q[k] = v
	}
	q.Set("per_page", strconv.Itoa(at.size))
	q.Set("page", strconv.Itoa(at.page))
	res, err := c.get(ctx, l.path, q, at.link)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	dec := json.NewDecoder(res.Body)
	var items []T
	err = array(dec, func() error {
		item, err := l.decode(dec)
		items = append(items, item)
		return err
	})
	if err != nil {
		return nil, nil, connError(res.Request, fmt.Errorf("read answer: %w", err))
	}
	next, err := after(res, at)
	if err != nil {
		return nil, nil, connError(res.Request, err)
	}
	return items, next, nil
}

// get asks for a path of the API, or for a link of this origin. The caller closes
// the body of the answer.
func (c *Client) get(ctx context.Context, path string, q url.Values, link *url.URL) (*http.Response, error) {
	req, err := c.api.NewRequest(http.MethodGet, path, nil, []gl.RequestOptionFunc{gl.WithContext(ctx)})
	if err != nil {
		return nil, err
	}
	req.URL.RawQuery = q.Encode()
	if link != nil {
		req.URL = link
	}
	return c.http.Do(req.Request)
}

// after is the position of the next page, nil after the last. The page number
// comes first, for links are wrong on an instance that does not know its own
// address; a link to another origin is refused.
func after(res *http.Response, at position) (*position, error) {
	if v := res.Header.Get("X-Next-Page"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n <= at.page {
			return nil, fmt.Errorf("read answer: next page %.20q after page %d", v, at.page)
		}
		return &position{size: at.size, page: n}, nil
	}
	raw := nextLink(res.Header.Values("Link"))
	if raw == "" {
		return nil, nil
	}
	u, err := res.Request.URL.Parse(raw)
	if err != nil {
		return nil, errors.New("read answer: the link to the next page is no URL")
	}
	if u.Scheme != res.Request.URL.Scheme || u.Host != res.Request.URL.Host {
		return nil, &rest.RedirectError{To: rest.Plain(u.String())}
	}
	return &position{size: at.size, page: at.page + 1, link: u}, nil
}

// nextLink is the target of rel="next": RFC 8288.
func nextLink(headers []string) string {
	for _, h := range headers {
		for link := range strings.SplitSeq(h, ",") {
			target, params, _ := strings.Cut(strings.TrimSpace(link), ";")
			for param := range strings.SplitSeq(params, ";") {
				name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
				if strings.EqualFold(name, "rel") && strings.EqualFold(strings.Trim(value, `"`), "next") {
					return strings.Trim(strings.TrimSpace(target), "<>")
				}
			}
		}
	}
	return ""
}
