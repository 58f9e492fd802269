package agent

import (
	"fmt"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/agent/store"
)

// A token of one project must not bring another by leaving out numbers, even if
// the way in had let such a body through.
func TestAProjectTokenSpeaksForNoOtherProject(t *testing.T) {
	t.Parallel()
	const instance = "https://gitlab.example.com"
	table, err := route.New(route.Config{
		Instances: []route.Instance{{URL: instance}},
		Rules:     []route.Rule{{Name: "all", Projects: []string{"**"}, Refs: []string{"**"}, Forks: route.ForksAll, Sync: []string{"site"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &setup{Config: &config.Config{Instances: []config.Instance{{URL: instance}}}, table: table, tokens: &Tokens{}}
	for name, c := range map[string]struct {
		ids     string
		refused bool
	}{
		"both projects by number":    {`"source_project_id":42,"target_project_id":42,`, false},
		"a fork by its number":       {`"source_project_id":43,"target_project_id":42,`, true},
		"no numbers at all":          {"", true},
		"no number of the source":    {`"target_project_id":42,`, true},
		"an unreadable one for that": {`"source_project_id":"x","target_project_id":42,`, true},
	} {
		body := fmt.Sprintf(`{"object_kind":"merge_request","project":{"path_with_namespace":"acme/app","web_url":"%[1]s/acme/app"},"object_attributes":{%[2]s
			"iid":7,"action":"open","state":"opened","source_branch":"feature","target_branch":"main","last_commit":{"id":"c0ffee1200000000000000000000000000000002"},
			"source":{"path_with_namespace":"other/app","web_url":"%[1]s/other/app"},"target":{"path_with_namespace":"acme/app","web_url":"%[1]s/acme/app"}}}`, instance, c.ids)
		d := s.decide(store.Event{Kind: "merge_request", Instance: instance, Project: "acme/app", Body: []byte(body)}, 0, func(string, route.Fact) bool { return false })
		if refused := strings.Contains(d.reason, "does not speak for"); refused != c.refused || c.refused && len(d.works) > 0 {
			t.Errorf("%s: %d works, reason %q; want refused: %t", name, len(d.works), d.reason, c.refused)
		}
		for _, w := range d.works {
			if p := w.Event.Project; p.Path != "acme/app" || p.ID != 0 {
				t.Errorf("%s: work for project %+v", name, p)
			}
		}
	}
}
