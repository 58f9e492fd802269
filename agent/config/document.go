package config

import (
	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/report"
	"gitlab.com/remora-ci/remora/component/target/direktiv"
	"gitlab.com/remora-ci/remora/component/target/httppost"
	"gitlab.com/remora-ci/remora/component/target/mirror"
)

// document is remora.yaml as it is written: every value a text, a secret or a
// list of texts. Its tags say all there is to know about a key:
//
//	yaml   the key; without it the key is made of the variable
//	env    the variable, and its default
//	usage  for people; without it that of the package that owns the variable
//	kind   what the text must be: bool, int, size, duration or path
//	need   the key must be there
//	open   not set means all, so it is not set by an empty value
//	trim   what the variables in the section begin with
//	skip   variables that are no keys of the section
//	case   the section's keys are those of this kind of target
//	enum   the only texts that are good, for editors; the owner checks
type document struct {
	GitLab          []instance      `yaml:"gitlab" usage:"GitLab instances that events come from; default: https://gitlab.com"`
	Tokens          []token         `yaml:"tokens" usage:"tokens of the bot users; the one with the most exact glob for a project is used for it"`
	Targets         []targetEntry   `yaml:"targets" need:"true" usage:"places that are brought to the state of a project"`
	Routes          []routeEntry    `yaml:"routes" usage:"which events lead to which targets; if two routes lead an event to one target, the first counts"`
	Schedules       []scheduleEntry `yaml:"schedules" usage:"deliveries that no event asks for"`
	URL             string          `yaml:"url" env:"REMORA_URL" usage:"how GitLab and its jobs reach the agent, such as https://remora.example.com"`
	IDTokens        idTokens        `yaml:"id_tokens" usage:"the ID tokens by which jobs of GitLab say who they are"`
	Commands        commands        `yaml:"commands" usage:"commands that people write in notes of merge requests"`
	Hooks           hooksEntry      `yaml:"hooks" usage:"webhooks that the agent keeps in GitLab; without this section it keeps none"`
	Webhook         auth.Config     `yaml:"webhook" trim:"REMORA_WEBHOOK_ REMORA_" skip:"REMORA_ADMIN_TOKEN" usage:"who may send webhooks"`
	AdminToken      delivery.Secret `yaml:"admin_token" env:"REMORA_ADMIN_TOKEN"`
	Database        database        `yaml:"database" usage:"where events and deliveries are kept; default: SQLite in data_dir"`
	DataDir         string          `yaml:"data_dir" env:"REMORA_DATA_DIR" kind:"path"`
	Retention       string          `yaml:"retention" env:"REMORA_RETENTION"`
	Listen          string          `yaml:"listen" env:"REMORA_LISTEN, default=127.0.0.1:8080" usage:"address and port to listen on; :8080 is every address"`
	ShutdownTimeout string          `yaml:"shutdown_timeout" env:"REMORA_SHUTDOWN_TIMEOUT, default=25s" kind:"duration" usage:"what work in hand gets to end after SIGTERM, such as 25s; shorter than what kills the agent"`
	Limits          limits          `yaml:"limits" usage:"what the agent does at once"`
	Log             string          `yaml:"log" env:"REMORA_LOG, default=info" usage:"what is logged: error, warn, info or debug"`
}

type instance struct {
	Name   string `yaml:"name" usage:"unique name; default: the host of the URL"`
	URL    string `yaml:"url" env:"REMORA_GITLAB_URL" need:"true" usage:"base URL, as GitLab names itself in its webhooks (external_url)"`
	CAFile string `yaml:"ca_file" env:"CI_SERVER_TLS_CA_FILE" kind:"path" usage:"PEM file of authorities to trust besides the system's"`
}

type token struct {
	Name     string          `yaml:"name" need:"true" usage:"unique name, for logs and metrics"`
	GitLab   string          `yaml:"gitlab" usage:"name of the instance; needed if there are several"`
	Token    delivery.Secret `yaml:"token" env:"REMORA_GITLAB_TOKEN"`
	Projects []string        `yaml:"projects" open:"true" usage:"globs of the project paths that it is for, in any case: group/** (default: all)"`
	Rotate   string          `yaml:"rotate" kind:"bool" usage:"true: the agent replaces it before it expires and keeps the new one, encrypted; nobody else may use it then"`
}

type targetEntry struct {
	Name     string          `yaml:"name" usage:"unique name, shown in commit statuses; default: the kind"`
	Kind     string          `yaml:"kind" need:"true" usage:"direktiv, http or mirror"`
	CAFile   string          `yaml:"ca_file" env:"CI_SERVER_TLS_CA_FILE" kind:"path" usage:"PEM file of authorities to trust besides the system's"`
	Direktiv direktiv.Config `case:"direktiv" trim:"DIREKTIV_"`
	HTTP     httppost.Config `case:"http" trim:"REMORA_HTTP_"`
	Mirror   mirror.Config   `case:"mirror" trim:"REMORA_MIRROR_"`
}

// The kinds of target.
const (
	kindDirektiv = "direktiv"
	kindHTTP     = "http"
	kindMirror   = "mirror"
)

type routeEntry struct {
	Name      string        `yaml:"name" usage:"unique name, shown with every delivery; default: route 1, route 2, …"`
	On        []string      `yaml:"on" open:"true" usage:"kinds of event: push, tag_push, merge_request, pipeline, deployment, release, and job for CI jobs that ask; default: the first three"`
	Projects  []string      `yaml:"projects" env:"REMORA_PROJECTS" open:"true" usage:"globs of project paths, in any case; ! excludes; the last that fits decides; default: all"`
	Refs      []string      `yaml:"refs" env:"REMORA_REFS" open:"true" usage:"globs of branches and tags, of a merge request its source branch; ! excludes; default: all"`
	Protected string        `yaml:"protected" kind:"bool" env:", default=true" usage:"false: jobs on refs that are not protected may ask too"`
	Forks     string        `yaml:"forks" enum:"false true never" usage:"merge requests from forks, whose commits others wrote: false takes the commits that somebody allowed, true all, never none; default: false"`
	Paths     string        `yaml:"paths" env:"REMORA_PATHS" usage:"globs of files, one of which a change must touch; ! excludes; what cannot be known means sync"`
	Sync      []string      `yaml:"sync" need:"true" usage:"names of the targets that are brought in step"`
	Optional  []string      `yaml:"optional" env:"REMORA_OPTIONAL" usage:"those of them whose failure is shown but fails nothing"`
	Timeout   string        `yaml:"timeout" env:"REMORA_TIMEOUT, default=5m" kind:"duration" usage:"deadline of one delivery, such as 90s or 10m"`
	Debounce  string        `yaml:"debounce" kind:"pause" env:", default=0s" usage:"how long to wait for more events of the same ref, such as 2s, at most 5m: what comes close together is one delivery"`
	Wait      string        `yaml:"wait" env:"REMORA_WAIT, default=true" kind:"bool" usage:"wait for the true result; false: start it and go on"`
	Report    report.Config `yaml:"report" trim:"REMORA_" usage:"what is shown in GitLab"`
}

type scheduleEntry struct {
	Name     string   `yaml:"name" need:"true" usage:"unique name, by which its firings are known"`
	Cron     string   `yaml:"cron" usage:"cron expression of five fields, such as 30 2 * * 1-5"`
	Every    string   `yaml:"every" usage:"ISO 8601 duration, such as PT6H or P1D"`
	Zone     string   `yaml:"zone" usage:"time zone of cron, such as Europe/Berlin; default: UTC"`
	OnStart  string   `yaml:"on_start" kind:"bool" usage:"true: also when the agent starts"`
	GitLab   string   `yaml:"gitlab" usage:"name of the instance; needed if there are several"`
	Projects []string `yaml:"projects" need:"true" usage:"globs of project paths, in any case; ! excludes"`
	Refs     []string `yaml:"refs" open:"true" usage:"globs of branches and tags; default: the default branch"`
	Sync     []string `yaml:"sync" need:"true" usage:"names of the targets that are brought in step"`
}

type idTokens struct {
	Audience []string `yaml:"audience" usage:"audiences that are taken besides the url and remora:<url>"`
}

type commands struct {
	Enabled     string `yaml:"enabled" kind:"bool" usage:"read commands; default: true where there is a token"`
	Prefix      string `yaml:"prefix" env:", default=/remora" usage:"first word of a command"`
	AccessLevel string `yaml:"access_level" env:", default=developer" usage:"role that a person needs: guest, planner, reporter, developer, maintainer, owner, or GitLab's number of it"`
}

type hooksEntry struct {
	Kind    string      `yaml:"kind" enum:"group project system off" usage:"group: one hook for each group; project: one for each project; system: one for the instance, by its administrator; off: none; default: group"`
	URL     string      `yaml:"url" usage:"where GitLab sends; default: the url at the top and /hooks/gitlab"`
	OldURLs []string    `yaml:"old_urls" usage:"globs of URLs of earlier installations, whose hooks are removed"`
	Events  []string    `yaml:"events" open:"true" usage:"events that are sent, such as push, merge_requests, note; default: what routes and commands need"`
	Heal    string      `yaml:"heal" kind:"heal" env:", default=PT15M" usage:"how often hooks are put right, such as PT15M; off: only by remora hooks apply"`
	Rotate  string      `yaml:"rotate" kind:"age" env:", default=never" usage:"how often the secrets of the hooks are replaced, in ISO 8601, such as P90D, at most P366D; or never"`
	Groups  []hookGroup `yaml:"groups" usage:"chosen groups; default: the groups at the top that each token sees"`
}

type hookGroup struct {
	Token  string   `yaml:"token" usage:"name of the token that keeps the hook; needed if there are several"`
	Group  string   `yaml:"group" need:"true" usage:"full path of the group"`
	Events []string `yaml:"events" open:"true" usage:"events of this group; default: those of all"`
}

type database struct {
	URL           string          `yaml:"url" env:"REMORA_DATABASE_URL"`
	EncryptionKey delivery.Secret `yaml:"encryption_key" env:"REMORA_ENCRYPTION_KEY"`
}

type limits struct {
	PerProject  string `yaml:"per_project" kind:"int" env:", default=10" usage:"deliveries at a time for one project, over all agents"`
	Workers     string `yaml:"workers" kind:"int" env:", default=64" usage:"deliveries at a time to each target, in this agent: one that hangs holds up no other"`
	MaxAttempts string `yaml:"max_attempts" kind:"int" env:", default=20" usage:"tries of one delivery before it is given up"`
	Lease       string `yaml:"lease" kind:"duration" env:", default=1m" usage:"how long deliveries in hand wait for an agent that died, before another takes them; on SQLite the next start takes them at once"`
	Memory      string `yaml:"memory" kind:"size" env:", default=64MiB" usage:"webhook bodies in memory at once; others wait, then get 503"`
	Requests    string `yaml:"gitlab_requests" env:"REMORA_GITLAB_REQUESTS, default=600/min" enum:"600/min auto" usage:"requests to GitLab with one token, over all agents of a database: 600/min, or auto, which is 200 a second where GitLab names no limit"`
}
