package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

// settled is how long a scene may take until all is as it should be.
const settled = 30 * time.Second

// agentDemo is the agent's part of the demo: a push webhook, then one whose
// delivery is cut by kill -9.
type agentDemo struct {
	*world
	binary, address string
	vars            map[string]string
	agent           *process
	head            string
}

func (w *world) demoAgent(ctx context.Context, binary, dir string) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	vars := w.settings()
	vars["HOME"], vars["REMORA_DATA_DIR"] = dir, filepath.Join(dir, "agent")
	vars["REMORA_GITLAB_URL"], vars["REMORA_WEBHOOK_SECRET"] = w.gitlab.URL, signingToken()
	vars["REMORA_PROJECTS"], vars["REMORA_REFS"] = "acme/*", "feature"
	vars["REMORA_URL"] = "http://" + address
	d := &agentDemo{world: w, binary: binary, address: address, vars: vars, head: w.scene.SHA}
	defer func() {
		if d.agent != nil {
			d.agent.kill()
		}
	}()
	for _, scene := range []func(context.Context) error{d.pushed, d.killed, d.looked, d.asked, d.commanded, d.examined} {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	stop := d.agent.stop()
	d.agent = nil
	return stop
}

func (d *agentDemo) start(ctx context.Context) (err error) {
	d.agent, err = startAgent(ctx, d.binary, d.address, d.vars)
	return err
}

// pushed is a push to the merge request's branch.
func (d *agentDemo) pushed(ctx context.Context) error {
	say("\n━━ 4. The agent: a push arrives as a signed webhook, no job is needed ━━\n$ remora agent &")
	if err := d.start(ctx); err != nil {
		return err
	}
	if err := d.push(ctx, "c0ffee1300000000000000000000000000000003"); err != nil {
		return err
	}
	return d.show(ctx)
}

// killed is a push whose delivery outlives the agent.
func (d *agentDemo) killed(ctx context.Context) error {
	say("\n━━ 5. kill -9 while Direktiv is at work, and a new start: nothing is lost ━━")
	d.direktiv.Next(direktivtest.Script{Polls: -1})
	asked := d.direktiv.Asked("GET ")
	if err := d.push(ctx, "c0ffee1400000000000000000000000000000004"); err != nil {
		return err
	}
	if err := d.until(ctx, "the status is running", func() bool {
		return d.direktiv.Asked("GET ") > asked+2 && slices.ContainsFunc(d.statuses(), func(s gitlabtest.Status) bool { return s.State == "running" })
	}); err != nil {
		return err
	}
	d.list()
	d.agent.kill()
	d.direktiv.Release() // Direktiv goes on by itself
	say("$ kill -9 %1; remora agent &")
	start := time.Now()
	if err := d.start(ctx); err != nil {
		return err
	}
	if err := d.show(ctx); err != nil {
		return err
	}
	say(fmt.Sprintf("   all of it %.1f s after the new start", time.Since(start).Seconds()))
	return nil
}

// looked is what the agent tells of all that.
func (d *agentDemo) looked(ctx context.Context) error {
	for _, what := range []string{"events", "deliveries"} {
		cmd := exec.CommandContext(ctx, d.binary, what, "list")
		cmd.Env = environ(d.vars)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("remora %s list: %w\n%s", what, err, out)
		}
		say("\n$ remora " + what + " list\n" + indent(string(out)))
	}
	return nil
}

// asked is a job of the same project that holds no secret: the agent delivers and
// reports for it.
func (d *agentDemo) asked(ctx context.Context) error {
	say("\n━━ 6. A job that holds no secret at all asks the agent, with its ID token ━━")
	d.scene.SHA = d.head
	for _, p := range d.gitlab.Pipelines(d.scene.Project.ID) {
		if p.SHA == d.head {
			d.scene.Pipeline = p
		}
	}
	vars := d.bare(7010, d.agent.url)
	for _, secret := range []string{direktivToken, d.scene.Token} {
		for name, value := range vars {
			if strings.Contains(value, secret) {
				return fmt.Errorf("%s holds a secret", name)
			}
		}
	}
	cmd := exec.CommandContext(ctx, d.binary, "sync")
	cmd.Env = environ(vars, map[string]string{"HOME": d.vars["HOME"]})
	out, err := cmd.CombinedOutput()
	say("$ env | grep -c TOKEN=      # REMORA_ID_TOKEN, good for this job and this agent\n   1\n$ remora sync\n" + indent(string(out)))
	if err != nil {
		return fmt.Errorf("remora sync: %w\n%s", err, d.agent.log.String())
	}
	return d.show(ctx)
}

// commanded is a person who asks the bot in a note.
func (d *agentDemo) commanded(ctx context.Context) error {
	say("\n━━ 7. Mona writes “/remora status” on the merge request ━━")
	p, mr := d.scene.Project.ID, d.scene.MergeRequest.IID
	n := d.gitlab.AddNote(p, mr, gitlabtest.Note{AuthorID: d.scene.Person.ID, Body: "/remora status"})
	body, err := json.Marshal(d.gitlab.NoteHook(p, mr, n.ID))
	if err != nil {
		return err
	}
	if _, _, err := sendHook(ctx, d.agent.url, d.gitlab.URL, "Note Hook", uuid(), body); err != nil {
		return err
	}
	reply := func() gitlabtest.Note {
		notes := d.notes()
		return notes[len(notes)-1]
	}
	if err := d.until(ctx, "the bot replies", func() bool { return reply().AuthorID == d.scene.Bot.ID && reply().ID > n.ID }); err != nil {
		return err
	}
	if !slices.Contains(d.gitlab.Emoji(p, mr), gitlabtest.Emoji{Name: "eyes", NoteID: n.ID, UserID: d.scene.Bot.ID}) {
		return errors.New("the bot has not marked the note as seen")
	}
	say("   👀, and in the same thread:\n" + frame(render(reply().Body)))
	return nil
}

// examined is what the doctor says of the installation.
func (d *agentDemo) examined(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, d.binary, "doctor")
	cmd.Env = environ(d.vars)
	out, err := cmd.CombinedOutput()
	say("\n━━ 8. What the doctor says ━━\n$ remora doctor\n" + indent(string(out)))
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// push moves the branch and sends the webhook.
func (d *agentDemo) push(ctx context.Context, sha string) error {
	p, before := d.scene.Project, d.head
	d.gitlab.AddCommit(p.ID, gitlabtest.Commit{SHA: sha, Parents: []string{before}, Paths: []string{"flows/hello.yaml"}, Branches: []string{"feature"}})
	d.gitlab.AddPipeline(p.ID, gitlabtest.Pipeline{SHA: sha, Ref: d.scene.Pipeline.Ref, Source: d.scene.Pipeline.Source, MergeRequest: d.scene.MergeRequest.IID, UserID: d.scene.Person.ID})
	d.head = sha
	status, took, err := push{instance: d.gitlab.URL, project: p.Path, projectID: p.ID, userID: d.scene.Person.ID, branch: "feature", before: before, after: sha, commits: 1}.send(ctx, d.agent.url)
	if err != nil {
		return err
	}
	if status/100 != 2 {
		return fmt.Errorf("the agent answered %d to a push\n%s", status, d.agent.log.String())
	}
	say(fmt.Sprintf("   POST /hooks/gitlab  push of feature at %s: on disk and answered %d in %.1f ms", delivery.ShortSHA(sha), status, ms(took)))
	return nil
}

// show waits until all statuses of the head are final and the note tells of it,
// and shows them.
func (d *agentDemo) show(ctx context.Context) error {
	final := func() bool {
		list := d.statuses()
		return len(list) > 0 && !slices.ContainsFunc(list, func(s gitlabtest.Status) bool { return s.State == "running" || s.State == "pending" })
	}
	told := func() bool {
		notes := d.notes()
		return len(notes) > 0 && strings.Contains(notes[len(notes)-1].Body, delivery.ShortSHA(d.head))
	}
	if err := d.until(ctx, "statuses are final and the note tells of the commit", func() bool { return final() && told() }); err != nil {
		return err
	}
	d.list()
	notes := d.notes()
	if len(notes) != 1 {
		return fmt.Errorf("%d notes on the merge request, not one", len(notes))
	}
	say("\nOn the merge request, still one note:\n" + frame(render(notes[0].Body)))
	return nil
}

func (d *agentDemo) list() {
	for _, s := range d.statuses() {
		say(strings.TrimRight(fmt.Sprintf("   %-8s %s  %s", s.State, s.Name, s.Description), " "))
	}
}

func (d *agentDemo) statuses() []gitlabtest.Status {
	return shown(d.gitlab.Statuses(d.scene.Project.ID, d.head))
}

func (d *agentDemo) notes() []gitlabtest.Note {
	return d.gitlab.Notes(d.scene.Project.ID, d.scene.MergeRequest.IID)
}

// until waits for something to become true.
func (d *agentDemo) until(ctx context.Context, what string, is func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, settled)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-d.agent.done:
			return errors.New("the agent ended: " + d.agent.log.String())
		case <-ctx.Done():
			return fmt.Errorf("in %s it did not happen that %s\n%s", settled, what, d.agent.log.String())
		}
	}
	return nil
}
