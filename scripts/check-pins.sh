#!/bin/sh
# Checks that what is pinned in several places is the same in all of them.
# Usage: scripts/check-pins.sh [TAG]; TAG is the version being released.
set -eu
cd "$(dirname "$0")/.."
tag=${1:-}
wrong=0
complain() {
	echo "check-pins: $*" >&2
	wrong=1
}

# One version of the image in all templates.
version=$(sed -n 's|.*default: registry\.gitlab\.com/remora-ci/remora:\(.*\)|\1|p' templates/*.yml | sort -u)
case $version in
*[!0-9.]* | '' | .* | *. | *..*)
	complain "templates/: want one image of a version like 1.2.3, found: $(echo "$version" | tr '\n' ' ')"
	exit 1
	;;
esac
for template in templates/*.yml; do
	grep -q "default: registry.gitlab.com/remora-ci/remora:$version\$" "$template" || complain "$template: does not pin the image $version"
done

# The changelog's newest release is that version, or the one before it.
released=$(sed -n 's/^## \[\([0-9][^]]*\)\].*/\1/p' CHANGELOG.md | head -n 1)
newest=$(printf '%s\n%s\n' "$released" "$version" | sort -V | tail -n 1)
[ "$newest" = "$version" ] || complain "templates/: pin $version, but CHANGELOG.md has released $released"
if [ -n "$tag" ]; then
	[ "$tag" = "$version" ] || complain "templates/: pin $version, but the tag is $tag"
	[ "$tag" = "$released" ] || complain "CHANGELOG.md: its newest release is ${released:-none}, but the tag is $tag"
fi

# What the README tells people to include.
# shellcheck disable=SC2013 # versions hold no blanks
for used in $(sed -n 's|.*/remora-ci/remora/[a-z]*@\([^ ]*\).*|\1|p' README.md | sort -u); do
	case $version. in
	"$used".*) ;;
	*) complain "README.md: includes @$used, but the templates are of $version" ;;
	esac
done

# One Go.
go=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' go.mod)
[ "$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' .ci/tools/go.mod)" = "$go" ] || complain ".ci/tools/go.mod: not of Go $go"
for file in Dockerfile .gitlab-ci.yml; do
	# shellcheck disable=SC2013
	for image in $(sed -n 's/.*golang:\([0-9]*\.[0-9]*\).*/\1/p' "$file"); do
		[ "$image" = "$go" ] || complain "$file: builds with Go $image, but go.mod wants $go"
	done
done

[ "$wrong" -eq 0 ] || exit 1
echo "check-pins: ok: $version"
