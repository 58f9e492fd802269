package gitlab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
)

// Comparison is what changed between two commits.
type Comparison struct {
	Paths     []string // old and new path of each changed file
	Truncated bool     // there may be more changes than Paths
	SameRef   bool     // from and to are the same commit
}

// diffCap is the number of files after which GitLab may leave files out of a
// diff by default: https://docs.gitlab.com/administration/diff_limits/.
const diffCap = 1000

// Compare lists the files that changed from one commit, branch or tag to another:
// from their merge base, or from the one itself if straight. The diffs pass by
// unread: https://docs.gitlab.com/api/repositories/#compare-branches-tags-or-commits.
func (c *Client) Compare(ctx context.Context, p Project, from, to string, straight bool) (Comparison, error) {
	const deed = "compare commits"
	q := url.Values{"from": {from}, "to": {to}, "straight": {strconv.FormatBool(straight)}}
	res, err := c.get(ctx, p.path("repository/compare"), q, nil)
	if err != nil {
		return Comparison{}, failed(deed, nil, err)
	}
	defer func() { _ = res.Body.Close() }()
	out, err := comparison(json.NewDecoder(res.Body))
	if err != nil {
		return Comparison{}, failed(deed, nil, connError(res.Request, fmt.Errorf("read answer: %w", err)))
	}
	return out, nil
}

func comparison(dec *json.Decoder) (Comparison, error) {
	var out Comparison
	files, complete := 0, false
	err := object(dec, func(key string) (bool, error) {
		switch key {
		case "diffs":
			complete = true
			return true, array(dec, func() error {
				var file struct {
					OldPath string `json:"old_path"`
					NewPath string `json:"new_path"`
				}
				err := dec.Decode(&file)
				files++
				out.add(file.OldPath, file.NewPath)
				return err
			})
		case "compare_timeout", "overflow":
			var yes bool
			err := dec.Decode(&yes)
			out.Truncated = out.Truncated || yes
			return true, err
		case "compare_same_ref":
			return true, dec.Decode(&out.SameRef)
		}
		return false, nil
	})
	out.Truncated = out.Truncated || !complete || files >= diffCap
	return out, err
}

func (c *Comparison) add(oldPath, newPath string) {
	if oldPath == "" && newPath == "" {
		c.Truncated = true
		return
	}
	if oldPath != "" {
		c.Paths = append(c.Paths, oldPath)
	}
	if newPath != "" && newPath != oldPath {
		c.Paths = append(c.Paths, newPath)
	}
}
