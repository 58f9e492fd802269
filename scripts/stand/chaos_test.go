package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

var kills = flag.Int("kills", 10, "how often the chaos tests kill an agent")

// TestNothingIsLostByKills kills a real agent at random points under load. What
// it acknowledged must be stored and delivered, statuses must end final, and no
// merge request may have two notes.
func TestNothingIsLostByKills(t *testing.T) {
	t.Parallel()
	binary := remora(t)
	storetest.Databases(t, func(t *testing.T, place store.Config) {
		c := newChaos(t, binary, place)
		address := c.address()
		agent := c.start(address)
		load := c.load(func() string { return "http://" + address })
		n := *kills
		if testing.Short() {
			n = min(n, 3)
		}
		for range n {
			c.wait(time.Duration(20+rand.IntN(400)) * time.Millisecond)
			agent.kill()
			agent = c.start(address)
		}
		load()
		c.settle()
		c.check()
		if err := agent.stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestAReplicaTakesOver kills one of two agents on one PostgreSQL, for good.
func TestAReplicaTakesOver(t *testing.T) {
	t.Parallel()
	binary := remora(t)
	c := newChaos(t, binary, storetest.Postgres(t))
	addresses := []string{c.address(), c.address()}
	agents := []*process{c.start(addresses[0]), c.start(addresses[1])}
	var mu sync.Mutex
	next := 0
	load := c.load(func() string {
		mu.Lock()
		defer mu.Unlock()
		next++
		return "http://" + addresses[next%2] // as a balancer that has not noticed yet
	})
	c.wait(700 * time.Millisecond)
	agents[0].kill()
	c.wait(700 * time.Millisecond)
	load()
	c.settle()
	c.check()
	if err := agents[1].stop(); err != nil {
		t.Error(err)
	}
}

var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "remora-chaos-")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "remora")
	out, err := exec.Command("go", "build", "-o", binary, "gitlab.com/remora-ci/remora").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build remora: %w\n%s", err, out)
	}
	return binary, nil
})

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if binary, err := built(); err == nil {
		_ = os.RemoveAll(filepath.Dir(binary))
	}
	os.Exit(code)
}

func remora(t *testing.T) string {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// chaos is a GitLab with some projects, each with a merge request and a token of
// its own, a target, and what was pushed.
type chaos struct {
	t        *testing.T
	binary   string
	vars     map[string]string
	gitlab   *gitlabtest.Server
	author   gitlabtest.User
	target   *receiver
	projects []gitlabtest.Project
	agents   []*process

	mu    sync.Mutex
	acked map[string]string  // commit by the key of a push that was answered 2xx
	heads map[int64][]string // commits of the branch by project, oldest first
}

const (
	projects = 6
	mergeIID = 7
)

func newChaos(t *testing.T, binary string, place store.Config) *chaos {
	t.Helper()
	c := &chaos{t: t, binary: binary, gitlab: gitlabtest.New(t), target: newReceiver(), acked: map[string]string{}, heads: map[int64][]string{}}
	c.vars = map[string]string{"REMORA_DATA_DIR": place.Dir, "REMORA_DATABASE_URL": place.URL, "REMORA_WEBHOOK_SECRET": signingToken()}
	c.target.busy = func() { c.wait(time.Duration(rand.IntN(100)) * time.Millisecond) }
	address, err := c.target.listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.target.close)
	bot := c.gitlab.AddUser(gitlabtest.User{Username: "remora-bot", Bot: true}, "")
	c.author = c.gitlab.AddUser(gitlabtest.User{Username: "mona"}, "")
	var tokens strings.Builder
	for i := range projects {
		p := c.gitlab.AddProject(gitlabtest.Project{Path: fmt.Sprint("acme/app-", i)})
		c.gitlab.AddMember(p.ID, bot.ID, gitlabtest.Developer)
		token := fmt.Sprint("glpat-remora-bot-", i)
		c.gitlab.AddToken(bot.ID, token, gitlabtest.Bot)
		fmt.Fprintf(&tokens, "- {name: bot-%d, token: '${BOT_%d}', projects: %s}\n", i, i, p.Path)
		c.vars[fmt.Sprint("BOT_", i)] = token
		base := c.gitlab.AddCommit(p.ID, gitlabtest.Commit{Branches: []string{"main", "work"}, Paths: []string{"README.md"}}).SHA
		c.gitlab.AddMergeRequest(p.ID, gitlabtest.MergeRequest{IID: mergeIID, SourceBranch: "work", AuthorID: c.author.ID})
		c.projects, c.heads[p.ID] = append(c.projects, p), []string{base}
	}
	home := t.TempDir()
	file := filepath.Join(home, "remora.yaml")
	content := fmt.Sprintf("gitlab:\n- url: %s\ntokens:\n%stargets:\n- {name: build, kind: http, url: 'http://%s/'}\nroutes:\n- {projects: acme/*, refs: work, sync: build}\nlimits: {lease: 3s}\n", c.gitlab.URL, tokens.String(), address)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	c.vars["HOME"], c.vars["REMORA_CONFIG"] = home, file
	return c
}

// wait is a pause of the scenario itself; nothing is awaited by it.
func (c *chaos) wait(d time.Duration) { pause(context.Background(), d) }

func (c *chaos) address() string {
	c.t.Helper()
	address, err := freeAddress()
	if err != nil {
		c.t.Fatal(err)
	}
	return address
}

func (c *chaos) start(address string) *process {
	c.t.Helper()
	p, err := startAgent(c.t.Context(), c.binary, address, c.vars)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(p.kill)
	c.agents = append(c.agents, p)
	return p
}

// load pushes to all projects until the function that it returns is called; that
// ends with a push to each that is acknowledged.
func (c *chaos) load(agent func() string) (end func()) {
	ctx, cancel := context.WithCancel(c.t.Context())
	var all sync.WaitGroup
	for _, p := range c.projects {
		all.Go(func() {
			for ctx.Err() == nil {
				c.push(p, agent())
				// The agent asks GitLab for no more than it usually allows to one token.
				pause(ctx, time.Duration(20+rand.IntN(120))*time.Millisecond)
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
		for _, p := range c.projects {
			for range 200 {
				if c.push(p, agent()) {
					break
				}
				c.wait(10 * time.Millisecond)
			}
		}
	}
}

// push moves the branch and sends one webhook, and says whether it was
// acknowledged. GitLab does not send it again either.
func (c *chaos) push(p gitlabtest.Project, agent string) bool {
	before, key := c.head(p), uuid()
	sha := c.gitlab.AddCommit(p.ID, gitlabtest.Commit{Parents: []string{before}, Branches: []string{"work"}, Paths: []string{key}}).SHA
	c.gitlab.AddPipeline(p.ID, gitlabtest.Pipeline{SHA: sha, Ref: "work", UserID: c.author.ID})
	c.mu.Lock()
	c.heads[p.ID] = append(c.heads[p.ID], sha)
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	status, _, err := push{instance: c.gitlab.URL, project: p.Path, projectID: p.ID, userID: c.author.ID, branch: "work", before: before, after: sha, commits: 1, key: key}.send(ctx, agent)
	if err != nil || status/100 != 2 {
		if err == nil && status != http.StatusServiceUnavailable {
			c.t.Errorf("a push was answered %d", status)
		}
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acked[key] = sha
	return true
}

func (c *chaos) head(p gitlabtest.Project) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heads[p.ID][len(c.heads[p.ID])-1]
}

// final says whether a status cannot change any more by itself.
func final(state string) bool { return !slices.Contains([]string{"pending", "running"}, state) }

// overtaker is the commit that an overtaken delivery names.
func overtaker(reason string) (string, bool) { return strings.CutPrefix(reason, "overtaken by ") }
