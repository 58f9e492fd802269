package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// signingKey is what the stand signs its webhooks with.
var signingKey = []byte("0123456789abcdef0123456789abcdef")

// signingToken is that key as GitLab and the agent are told it.
func signingToken() string { return "whsec_" + base64.StdEncoding.EncodeToString(signingKey) }

// push is what a push webhook tells.
type push struct {
	instance, project string // URL and path
	projectID, userID int64
	branch            string
	before, after     string
	commits           int    // that it names; GitLab names twenty at most
	key               string // Idempotency-Key; empty: a new one
}

// body is the webhook as GitLab writes it.
//
// https://docs.gitlab.com/user/project/integrations/webhook_events/#push-events
func (p push) body() []byte {
	web := p.instance + "/" + p.project
	name := p.project[strings.LastIndex(p.project, "/")+1:]
	commits := make([]any, p.commits)
	for i := range commits {
		sum := sha256.Sum256(fmt.Append(nil, p.after, i))
		id := hex.EncodeToString(sum[:20])
		if i == len(commits)-1 {
			id = p.after
		}
		author := fmt.Sprintf("Person %x", sum[1:2])
		commits[i] = map[string]any{
			"id": id, "title": "Change " + hex.EncodeToString(sum[3:9]), "message": "Change " + hex.EncodeToString(sum[3:9]) + "\n\nIt was as it was, and now it is better.",
			"timestamp": "2026-11-20T14:03:00+00:00", "url": web + "/-/commit/" + id, "author": map[string]any{"name": author, "email": ""},
			"added": []string{"flows/" + hex.EncodeToString(sum[9:14]) + ".yaml"}, "modified": []string{"README.md", "src/" + hex.EncodeToString(sum[14:18]) + "/main.go"}, "removed": []string{},
		}
	}
	body, _ := json.Marshal(map[string]any{ // texts and numbers only: there is no error
		"object_kind": "push", "event_name": "push", "before": p.before, "after": p.after, "ref": "refs/heads/" + p.branch, "ref_protected": false,
		"checkout_sha": p.after, "message": nil, "user_id": p.userID, "user_name": "Mona", "user_username": "mona", "user_email": "", "user_avatar": nil,
		"project_id": p.projectID,
		"project": map[string]any{
			"id": p.projectID, "name": name, "description": "", "web_url": web, "avatar_url": nil, "git_ssh_url": "git@gitlab.example.com:" + p.project + ".git",
			"git_http_url": web + ".git", "namespace": "acme", "visibility_level": 0, "path_with_namespace": p.project, "default_branch": "main", "ci_config_path": nil,
		},
		"commits": commits, "total_commits_count": len(commits), "push_options": map[string]any{},
		"repository": map[string]any{"name": name, "url": web + ".git", "description": "", "homepage": web, "visibility_level": 0},
	})
	return body
}

// send delivers the webhook to an agent as GitLab 19.1 does, signed, and returns
// the status and how long the answer took.
func (p push) send(ctx context.Context, agent string) (status int, took time.Duration, err error) {
	return sendHook(ctx, agent, p.instance, "Push Hook", cmp.Or(p.key, uuid()), p.body())
}

// sendHook delivers a webhook as GitLab 19.1 does, signed.
func sendHook(ctx context.Context, agent, instance, event, id string, body []byte) (status int, took time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, agent+"/hooks/gitlab", bytes.NewReader(body))
	if err != nil {
		return 0, 0, err
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	for name, value := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "GitLab/19.2.1", "X-Gitlab-Event": event, "X-Gitlab-Instance": instance,
		"X-Gitlab-Webhook-UUID": uuid(), "Idempotency-Key": id, "webhook-id": id, "webhook-timestamp": at, "webhook-signature": signature(id, at, body),
	} {
		req.Header.Set(name, value)
	}
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, time.Since(start), err
}

// signature is that of Standard Webhooks, over the raw body.
func signature(id, at string, body []byte) string {
	mac := hmac.New(sha256.New, signingKey)
	_, _ = mac.Write([]byte(id + "." + at + "."))
	_, _ = mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// uuid is a random one, as GitLab names each webhook.
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
