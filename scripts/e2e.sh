#!/bin/sh
# Runs the components for real: gitlab-ci-local runs their jobs in a scratch
# repository, with the binary built from this tree, against the stand-ins of GitLab
# and Direktiv on loopback. It also checks each job by GitLab's schema.
# Needs Go, git, rsync, Node 20 and npm. Usage: scripts/e2e.sh
set -eu

version=4.72.0 # gitlab-ci-local; later ones need Node 22
top=$(cd "$(dirname "$0")/.." && pwd)
dir=$(mktemp -d)
pids=''
stop() {
	for pid in $pids; do kill "$pid" 2>/dev/null || :; done
	rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT TERM

fail() {
	echo "e2e: FAIL: $*" >&2
	[ ! -f "$dir/log" ] || sed 's/^/  | /' "$dir/log" >&2
	exit 1
}
say() { echo "e2e: $*"; }

for tool in go git rsync node npm; do
	command -v "$tool" >/dev/null || fail "$tool is missing"
done
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/remora-ci/gitlab-ci-local-$version
if [ ! -x "$cache/node_modules/.bin/gitlab-ci-local" ]; then
	npm install --silent --no-audit --no-fund --prefix "$cache" "gitlab-ci-local@$version" >"$dir/log" 2>&1 ||
		fail "npm cannot install gitlab-ci-local $version"
fi

mkdir "$dir/bin" "$dir/app" "$dir/home"
(cd "$top" && CGO_ENABLED=0 go build -o "$dir/bin/" . && CGO_ENABLED=0 go build -o "$dir/bin/" ./scripts/stand)
PATH=$dir/bin:$PATH
export PATH

# The stand-ins, and a port that takes connections and never answers.
stand serve --env "$dir/env" >"$dir/stand.log" 2>&1 &
pids="$pids $!"
node -e 'require("net").createServer(() => {}).listen(0, "127.0.0.1", function () {
	require("fs").writeFileSync(process.argv[1], String(this.address().port)) })' "$dir/port" &
pids="$pids $!"
tries=0
until [ -s "$dir/env" ] && [ -s "$dir/port" ]; do
	tries=$((tries + 1))
	[ "$tries" -le 100 ] || fail "the stand-ins do not start: $(cat "$dir/stand.log")"
	sleep 0.1
done
value() { sed -n "s/^$1=//p" "$dir/env"; }
gitlab=$(value CI_SERVER_URL)
direktiv="direktiv-url: '$(value DIREKTIV_URL)', direktiv-namespace: demo"
silent=http://127.0.0.1:$(cat "$dir/port")/

# The scratch repository. Its components are read from its work tree, which
# gitlab-ci-local takes for the released ones if the commit is HEAD.
cd "$dir/app"
cp -R "$top/templates" .
git init -q -b feature
git add .
git -c user.name=e2e -c user.email=e2e@example.com commit -qm 'The components'
git remote add origin https://gitlab.example.com/acme/app.git
sha=$(git rev-parse HEAD)

# A kill that the binary cannot see coming: once its status is open, it is gone.
cat >"$dir/bin/killed" <<'KILLED'
#!/bin/sh
remora sync &
pid=$!
tries=0
until e2e_state 's.statuses.some(x => x.State === "running")'; do
	tries=$((tries + 1))
	[ "$tries" -le 100 ] || break
	sleep 0.1
done
kill -9 "$pid"
wait "$pid"
KILLED
# e2e_state EXPRESSION: whether it holds, for s, what the stand's GitLab shows.
cat >"$dir/bin/e2e_state" <<STATE
#!/bin/sh
exec node -e '
fetch("$gitlab/_stand/state").then(r => r.json()).then(s => {
	s.notes ||= []; s.statuses ||= []
	s.is = (name, state) => s.statuses.some(x => x.Name === name && x.State === state)
	process.exit(eval(process.argv[1]) ? 0 : 1)
})' "\$1"
STATE
chmod +x "$dir/bin/killed" "$dir/bin/e2e_state"

# pipeline TEMPLATE INPUTS [VARIABLE…]: writes .gitlab-ci.yml and runs it as the
# merge request's pipeline; its exit code is the job's. GitLab counts its jobs, and a
# note of a later one stands; gitlab-ci-local draws their numbers by lot.
jobs=7000
secrets=yes # of the bot and of the target are variables of the project
pipeline() {
	jobs=$((jobs + 1))
	cat >.gitlab-ci.yml <<CI
include:
  - component: gitlab.example.com/acme/app/$1@$sha
    inputs: {$2}
CI
	shift 2
	set -- --force-shell-executor --no-color "$@"
	while IFS= read -r line; do
		case $line in
		CI_JOB_*) continue ;; # they are of one job, and there are many
		DIREKTIV_URL=* | DIREKTIV_NAMESPACE=*) continue ;; # inputs
		REMORA_* | DIREKTIV_*) [ -n "$secrets" ] || continue ;;
		esac
		set -- "$@" --variable "$line"
	done <"$dir/env"
	HOME=$dir/home "$cache/node_modules/.bin/gitlab-ci-local" "$@" \
		--variable "CI_PROJECT_DIR=$dir/app" --variable "CI_JOB_ID=$jobs" --unset-variable CI_COMMIT_BRANCH >"$dir/log" 2>&1 </dev/null
}
holds() { e2e_state "$1" || fail "$2; GitLab shows $(node -e "fetch('$gitlab/_stand/state').then(r => r.text()).then(t => console.log(t))")"; }

mr='rules: merge-request'

say 'a merge request whose commit Direktiv takes'
pipeline sync "$mr, $direktiv" || fail 'the job is red'
grep -q 'json schema validated' "$dir/log" || fail 'the schema of GitLab was not asked'
holds 's.syncs === 1 && s.is("sync/direktiv", "success")' 'no green status for one sync'
holds 's.notes.length === 1' 'not one note'
for report in junit.xml env links.json; do
	ls .remora-*."$report" >/dev/null 2>&1 || fail "no report file $report"
done
[ -z "$(ls .remora-*.journal 2>/dev/null)" ] || fail 'a journal is left behind'

say 'a sync that fails'
node -e 'fetch(process.argv[1], {method: "POST"})' "$gitlab/_stand/direktiv/fail"
if pipeline sync "$mr, $direktiv"; then fail 'the job is green'; fi
holds 's.is("sync/direktiv", "failed")' 'no red status'
holds 's.notes.length === 1 && s.notes[0].Body.includes("reference not found")' 'not one note with the cause'

say "a variable of the project comes before the input"
pipeline sync "$mr, name: staging, note: 'off', ${direktiv}-of-nobody" --variable DIREKTIV_NAMESPACE=demo || fail 'the job is red'
holds 's.is("staging/direktiv", "success")' 'no green status under the name'

say 'a job that is killed'
sed -i.orig 's/- remora sync$/- killed/' templates/sync.yml
if pipeline sync "$mr, name: killed, report: status, http-url: '$silent'"; then fail 'the job is green'; fi
mv templates/sync.yml.orig templates/sync.yml
holds 's.is("killed/http", "canceled") && !s.statuses.some(x => x.State === "running")' 'a status stays open'

say 'a report of another job, with a shell command in its text'
# shellcheck disable=SC2016 # it is GitLab that expands the variable, and nobody the commands
pipeline report "$mr"', stage: deploy, name: "rpm-build:fedora", state: $BUILD_STATE, description: "$(touch pwned) `touch pwned`; touch pwned"' \
	--variable BUILD_STATE=failed || fail 'the job is red'
holds 's.is("rpm-build:fedora", "failed")' 'no status of the report'
[ ! -e pwned ] || fail 'an input was run by the shell'

say 'a job of a project that holds no secret asks the agent'
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })')
agent=http://127.0.0.1:$port
env "REMORA_GITLAB_URL=$gitlab" "REMORA_GITLAB_TOKEN=$(value REMORA_GITLAB_TOKEN)" "REMORA_LISTEN=127.0.0.1:$port" "REMORA_URL=$agent" \
	"REMORA_DATA_DIR=$dir/agent" REMORA_WEBHOOK_SECRET=a-secret-of-the-hook-0123456789 'REMORA_PROJECTS=acme/*' REMORA_NAME=agent \
	"DIREKTIV_URL=$(value DIREKTIV_URL)" DIREKTIV_NAMESPACE=demo "DIREKTIV_TOKEN=$(value DIREKTIV_TOKEN)" \
	remora agent >"$dir/agent.log" 2>&1 &
pids="$pids $!"
tries=0
until node -e 'fetch(process.argv[1]).then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))' "$agent/readyz"; do
	tries=$((tries + 1))
	[ "$tries" -le 100 ] || fail "the agent does not start: $(cat "$dir/agent.log")"
	sleep 0.1
done
minted() { node -e 'fetch(process.argv[1], {method: "POST"}).then(r => r.text()).then(t => console.log(t))' "$gitlab/_stand/id_token?job=$1&agent=$agent"; }
secrets=
pipeline sync "$mr, agent-url: '$agent'" --variable "REMORA_ID_TOKEN=$(minted $((jobs + 1)))" || fail "the job is red; the agent: $(cat "$dir/agent.log")"
grep -q 'json schema validated' "$dir/log" || fail 'the schema of GitLab was not asked'
for secret in "$(value REMORA_GITLAB_TOKEN)" "$(value DIREKTIV_TOKEN)"; do
	[ -n "$secret" ] || fail 'there is no secret to look for'
	if grep -qF -e "$secret" "$dir/log" .gitlab-ci.yml; then fail 'a secret is in the job'; fi
done
holds 's.is("agent/direktiv", "success")' 'no green status from the agent'
tries=0
until e2e_state 's.notes.some(n => n.Body.includes("agent"))'; do
	tries=$((tries + 1))
	[ "$tries" -le 100 ] || fail 'no note from the agent'
	sleep 0.1
done

say 'a token of another job is refused'
if pipeline sync "$mr, agent-url: '$agent'" --variable "REMORA_ID_TOKEN=$(minted 6999)"; then fail 'the job is green'; fi
grep -q 'job_id' "$dir/log" || fail 'the claim is not named'
secrets=yes

say 'no job in a merge-request pipeline where none was asked for'
pipeline sync "$direktiv" --list || fail 'the list is refused'
if grep -q 'remora-sync' "$dir/log"; then fail 'the job is there'; fi

say 'the pipeline of this project'
mkdir "$dir/own"
cp -R "$top/templates" "$top/.gitlab-ci.yml" "$dir/own"
cd "$dir/own"
git init -q -b main
git add .
git -c user.name=e2e -c user.email=e2e@example.com commit -qm 'The pipeline'
git remote add origin https://gitlab.com/remora-ci/remora.git
lists() { # JOB VARIABLE…: whether the pipeline with these variables has the job
	job=$1
	shift
	HOME=$dir/home "$cache/node_modules/.bin/gitlab-ci-local" --list --no-color "$@" >"$dir/log" 2>&1 </dev/null || fail 'it is not valid'
	grep -q "^$job " "$dir/log"
}
lists try-sync || fail 'it does not try the component'
lists build-image || fail 'it builds no image'
if lists release; then fail 'it releases from a branch'; fi
lists release --unset-variable CI_COMMIT_BRANCH --variable CI_COMMIT_TAG=1.2.3 || fail 'a tag does not release'

echo 'e2e: ok: 9 scenes'
