// Package hooks keeps the webhooks in GitLab as they are wanted: it compares,
// shows a plan, and puts right what has drifted.
package hooks
