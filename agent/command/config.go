package command

// Config says who may command the agent in notes, and how.
type Config struct {
	Enabled     bool
	Prefix      string // first word of a command: /remora
	AccessLevel int    // GitLab's number of the role that a person needs: 30 is Developer, 40 Maintainer
}
