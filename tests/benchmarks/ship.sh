#!/bin/bash
# The train as a careful team would script it: every step looks first, pushes with a lease and reads back.
# Usage: ship.sh WORLD. WORLD/plan.sh names PACKAGES and APPS in order, and FROZEN, VERSION and FILE by name.
set -euo pipefail
world=$1
source "$world/plan.sh"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
export GIT_AUTHOR_NAME=team GIT_AUTHOR_EMAIL=team@localhost GIT_COMMITTER_NAME=team GIT_COMMITTER_EMAIL=team@localhost
export PATH="$world/bin:$PATH"
declare -A SHA
log=$world/ship.log

die() { echo "$*" >&2; exit 1; }
told() { echo "$(date -Is) $*" >>"$world/journal"; }
mirror() { echo "$world/mirrors/$1.git"; }
origin() { echo "$world/origins/$1.git"; }
remote_ref() { git ls-remote --quiet "$(origin "$1")" "$2" | cut -f1; }
listed() { [ -f "$world/registry/$1" ] && sha256sum <"$world/registry/$1" | cut -d' ' -f1; }

publish_package() {
  local name=$1 file=${FILE[$1]} ours
  ours=$(sha256sum <"$world/dist/$file" | cut -d' ' -f1)
  told "publish $name"
  [ "$(listed "$file" || true)" = "$ours" ] || publish "$world/dist/$file" >>"$log" 2>&1
  [ "$(listed "$file")" = "$ours" ] || die "$file is not what was published"
}

tag_package() {
  local name=$1 tag=v${VERSION[$1]} sha=${FROZEN[$1]}
  told "tag $name"
  [ -z "$(remote_ref "$name" "refs/tags/$tag^{}")" ] || return 0
  git -C "$(mirror "$name")" tag -a -m "$tag" "$tag" "$sha"
  git -C "$(mirror "$name")" push --quiet --porcelain "$(origin "$name")" "refs/tags/$tag" >>"$log" 2>&1
  [ "$(remote_ref "$name" "refs/tags/$tag^{}")" = "$sha" ] || die "$tag of $name did not arrive"
}

# tree NAME SHA: a clean worktree; refreshes git's stat cache as a long check wants it.
tree() {
  git -C "$(mirror "$1")" worktree add --quiet --detach "$world/trees/$1" "$2"
  git -C "$world/trees/$1" update-index -q --refresh
}

fell() {
  rm -rf "$world/trees/$1"
  git -C "$(mirror "$1")" worktree prune --expire=now
}

# push NAME SHA BRANCH EXPECTED
push() {
  local mirror origin
  mirror=$(mirror "$1") origin=$(origin "$1")
  git -C "$mirror" merge-base --is-ancestor "$4" "$2" || die "$3 of $1 has diverged"
  git -C "$mirror" push --quiet --porcelain --force-with-lease="refs/heads/$3:$4" "$origin" "$2:refs/heads/$3" >>"$log" 2>&1
  [ "$(remote_ref "$1" "refs/heads/$3")" = "$2" ] || die "$3 of $1 did not arrive"
}

repin() {
  local name=$1 frozen=${FROZEN[$1]} head pins=() package
  told "re-pin $name"
  head=$(remote_ref "$name" refs/heads/release)
  [ "$head" = "$frozen" ] || die "$name has drifted since the freeze"
  git -C "$(mirror "$name")" fetch --quiet --no-tags "$(origin "$name")" release
  tree "$name" "$frozen"
  for package in "${PACKAGES[@]}"; do pins+=("$package==${VERSION[$package]}"); done
  for package in "${pins[@]}"; do sed -i "s/^${package%%==*}@release$/$package/" "$world/trees/$name/needs.txt"; done
  (cd "$world/trees/$name" && lock "${pins[@]}") >>"$log" 2>&1
  for package in "${pins[@]}"; do grep -qx "$package" "$world/trees/$name/needs.lock" || die "the lock of $name did not move"; done
  git -C "$world/trees/$name" add needs.txt needs.lock
  git -C "$world/trees/$name" commit --quiet -m "Pin ${pins[*]}"
  SHA[$name]=$(git -C "$world/trees/$name" rev-parse HEAD)
  fell "$name"
  push "$name" "${SHA[$name]}" release "$frozen"
}

gate_app() {
  told "gate $1"
  tree "$1" "${SHA[$1]}"
  (cd "$world/trees/$1" && gate) >>"$log" 2>&1 || die "the gate of $1 is red"
  fell "$1"
}

advance() {
  local main
  told "advance $1"
  main=$(remote_ref "$1" refs/heads/main)
  git -C "$(mirror "$1")" fetch --quiet --no-tags "$(origin "$1")" main
  [ "$main" = "${SHA[$1]}" ] || push "$1" "${SHA[$1]}" main "$main"
}

deploy_app() {
  told "deploy $1"
  [ "$(cat "$world/running/$1" 2>/dev/null || true)" = "${SHA[$1]}" ] && return 0
  deploy "$1" "${SHA[$1]}" >>"$log" 2>&1
  [ "$(cat "$world/running/$1")" = "${SHA[$1]}" ] || die "$1 runs something else"
}

for name in "${PACKAGES[@]}"; do
  SHA[$name]=${FROZEN[$name]}
  publish_package "$name"
  tag_package "$name"
done
for name in "${APPS[@]}"; do repin "$name"; done
for name in "${APPS[@]}"; do gate_app "$name"; done
for name in "${PACKAGES[@]}"; do advance "$name"; done
for name in "${APPS[@]}"; do
  advance "$name"
  deploy_app "$name"
done
told "shipped"
