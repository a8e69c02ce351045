# The program of the helper sandbox: the diff of the viewed work tree against $SEAL. It runs nothing that the agent could write, follows no link of the
# agent's and opens nothing but regular files. On stdout: names that are left out, each ended by NUL, at most 100; one NUL more; the diff. Where it exits
# with anything but 0 (the codes are in collect.ts) stderr says why, and there is no diff.
#
# Ignore rules and attributes come from the seal. What of them the agent made or changed leaves the view, and the sealed ones are marked skip-worktree, so
# that git reads them from the index; afterwards the agent's versions enter the index as plain content. Files that set-up left untracked are no part of a
# submission, and its own rules among them count. With TAKE_IGNORED new
# files that the rules leave out are part of it, as long as they are not too large together.
#
# Every process costs milliseconds. Where nothing is strange they are: find, git status, stat, git update-index, git diff.
set -E -u -o pipefail
export LC_ALL=C
exec 3>&1 4>&2 >/dev/null

left_out=()
names() {
  local name
  for name in "${left_out[@]:0:100}"; do printf '%s\0' "${name:0:4096}" >&3; done
  printf '\0' >&3
}
end() { trap - ERR; names; printf '%s\n' "$2" >&4; exit "$1"; }
failed() { end 1 "$1"; }
no_tree() { end 10 "$1"; }
too_large() { end 11 "$1"; }
# Whether the helper itself can still write; what programs say tells nothing, for the agent's names are in it.
has_room() { dd if=/dev/zero of="$desk-room" bs=1M count=4 conv=fsync 2>/dev/null && rm "$desk-room"; }
no_room() { failed "the helper has no room"; }
errors() { tail -q -c 500 "$desk-errors" "$desk-refused" 2>/dev/null || true; }
not_taken() { has_room || no_room; failed "git could not take in what was changed: $(errors)"; }
unreadable() { has_room || no_room; end 12 "line $1: $(errors)"; }
trap 'failed "line $LINENO"' ERR

# All that decides what git does is of our own making.
export GIT_DIR="$PRISTINE/.git" GIT_LITERAL_PATHSPECS=1 GIT_OPTIONAL_LOCKS=0
desk="$GIT_DIR/sandlot"
printf '%s\n' '[core]' 'repositoryFormatVersion = 0' 'autocrlf = false' 'safecrlf = false' 'fileMode = true' 'symlinks = true' \
  'ignoreCase = false' 'trustctime = true' 'checkStat = default' 'excludesFile = /dev/null' 'attributesFile = /dev/null' \
  'bigFileThreshold = 512m' 'quotePath = true' > "$GIT_DIR/config"

tree="$VIEW/$INSIDE"
[ ! -L "$tree" ] || no_tree "a link"
[ -e "$tree" ] || no_tree "gone"
[ -d "$tree" ] || no_tree "no folder"
cd -P "$VIEW"
view=${PWD%/}
cd -P "$tree"
[ "$PWD" = "$view/$INSIDE" ] || no_tree "behind a link"
if [ -n "$COPY" ]; then
  cp -a --reflink=auto -- . "$COPY"
  cd -P "$COPY"
fi
export GIT_WORK_TREE="$PWD"
exec 2> "$desk-errors"
trap 'unreadable "$LINENO"' ERR

# What git must not meet: what is neither file, folder nor link, and what makes a folder within look like a repository.
survey() {
  find . -mindepth 1 -maxdepth "$1" -path ./.git -prune -o -name .git -prune -fprintf "$desk-repositories" '%P\0' -o \
    -type d -fprintf "$desk-depths" '%d ' -o ! -type f ! -type l -fprintf "$desk-strange" '%P\0' -o \
    -type f '(' -name .gitignore -o -name .gitattributes ')' -size +"$MAX_PATCH_BYTES"c -fprintf "$desk-large" '%P\0'
}
# Git looks up every folder by its whole path. Where very many lie very deep it goes no deeper than this.
deepest=100 how_ignored=traditional
survey "$deepest"
read -r depths < "$desk-depths" || true
if [[ " $depths" == *" $deepest "* ]]; then
  many=$(find . -mindepth "$deepest" -type d -printf . | head -c 10000 | wc -c) || true
  if [ "$many" -lt 10000 ]; then
    survey "$((deepest = 4096))"
  else
    mkdir -p "$GIT_DIR/info"
    printf '/%s\n' "$(printf '*/%.0s' $(seq "$deepest"))" >> "$GIT_DIR/info/exclude"
    how_ignored=matching
  fi
fi
if [ -s "$desk-strange" ]; then
  mapfile -d '' -t -n 100 left_out < "$desk-strange"
  find . -mindepth 1 -maxdepth "$deepest" ! -type f ! -type d ! -type l -delete
fi
if [ -s "$desk-repositories" ]; then
  mapfile -d '' -t -n 100 -O "${#left_out[@]}" left_out < "$desk-repositories"
  find . -mindepth 2 -maxdepth "$((deepest + 1))" ! -type d '(' -name .git -o -path '*/.git/HEAD' ')' -delete
fi
[ ! -s "$desk-large" ] || too_large "a file of rules is larger"

# Sorts what differs from the seal. Where there are rules of the agent's ("theirs") the rest is worth nothing yet.
look() {
  local records record state path
  git status --porcelain=v2 --branch --no-ahead-behind -z --untracked-files=all --ignored="$how_ignored" \
    --no-renames --ignore-submodules=dirty > "$desk-status"
  mapfile -d '' -t records < "$desk-status"
  changed=() removed=() ignored=() theirs=() sealed=
  for record in "${records[@]}"; do
    case "$record" in
      '? '* | '! '*) state=${record:0:1} path=${record:2} ;;
      '1 '*) state=${record:3:1} path=${record#* * * * * * * * } ;;
      '# branch.oid '*) sealed=${record:13}; continue ;;
      *) continue ;;
    esac
    case "/$path" in
      */) [ -d "$PRISTINE/$path" ] || ignored+=("$path"); continue ;;
      */.gitignore | */.gitattributes) if ! left_by_set_up "$state" "$path"; then theirs+=("$state$path"); continue; fi ;;
    esac
    if [ "$state" = D ]; then
      removed+=("$path")
    elif [ "${#path}" -ge 4096 ]; then # longer than any path that can be opened
      ignored+=("$path")
    elif is_untracked "$state"; then
      if in_pristine "$path"; then continue; fi
      if [ "$state" = '?' ]; then changed+=("$path"); else ignored+=("$path"); fi
    else
      changed+=("$path")
    fi
  done
}
is_untracked() { [ "$1" = '?' ] || [ "$1" = '!' ]; }
# Of an untracked file: whether set-up left one there, which was ignored when the tree was sealed.
in_pristine() { [ -L "$PRISTINE/$1" ] || { [ -e "$PRISTINE/$1" ] && [ ! -d "$PRISTINE/$1" ]; }; }
# Whether untracked rules are the very ones that set-up left.
left_by_set_up() {
  is_untracked "$1" && [ -f "$PRISTINE/$2" ] && [ ! -L "$PRISTINE/$2" ] && [ -f "$2" ] && [ ! -L "$2" ] || return 1
  local now before
  mapfile -d '' -t now < "$2"
  mapfile -d '' -t before < "$PRISTINE/$2"
  [ "${#now[@]} ${now[*]}" = "${#before[@]} ${before[*]}" ]
}

# Takes the agent's rules out of the view; what they hold is in "blobs" then.
made=() modes=() blobs=() dropped=()
hide() {
  local rule path out=() skip=() contents=() hashes
  for rule in "${theirs[@]}"; do
    path=${rule:1}
    is_untracked "${rule:0:1}" || skip+=("$path")
    if [ "${rule:0:1}" = D ]; then dropped+=("$path"); continue; fi
    out+=("$path")
    if is_untracked "${rule:0:1}" && in_pristine "$path"; then continue; fi
    if [ -L "$path" ]; then
      readlink -n -- "$path" > "$desk-link-${#made[@]}"
      modes+=(120000) contents+=("$desk-link-${#made[@]}")
    elif [ -x "$path" ]; then
      modes+=(100755) contents+=("./$path")
    else
      modes+=(100644) contents+=("./$path")
    fi
    made+=("$path")
  done
  if [ "${#contents[@]}" -gt 0 ]; then
    printf '%s\0' "${contents[@]}" | xargs -0 git hash-object -w --no-filters -- > "$desk-blobs" || not_taken
    mapfile -t hashes < "$desk-blobs"
    blobs+=("${hashes[@]}")
  fi
  [ "${#out[@]}" = 0 ] || printf '%s\0' "${out[@]}" | xargs -0 rm -f --
  [ "${#skip[@]}" = 0 ] || printf '%s\0' "${skip[@]}" | git update-index -z --skip-worktree --stdin
}


look
while [ "${#theirs[@]}" -gt 0 ]; do
  [ "$((${#theirs[@]} + ${#made[@]}))" -le 10000 ] || too_large "the list of files of rules is longer"
  hide
  look
done
[ "$sealed" = "$SEAL" ] || failed "the helper's own git directory lacks the seal"

# The agent's rules that those of the seal do not leave out.
rules=()
shunned=()
if [ "${#made[@]}" -gt 0 ] && [ -z "$TAKE_IGNORED" ]; then
  printf './%s\0' "${made[@]}" | GIT_LITERAL_PATHSPECS=0 git check-ignore -z --stdin > "$desk-shunned" || [ $? = 1 ]
  mapfile -d '' -t shunned < "$desk-shunned"
fi
next=0
for at in "${!made[@]}"; do
  if [ "$next" -lt "${#shunned[@]}" ] && [ "${shunned[next]}" = "./${made[at]}" ]; then
    next=$((next + 1)) ignored+=("${made[at]}")
  else
    rules+=("${modes[at]},${blobs[at]},${made[at]}")
  fi
done
# Half of what a patch may have, since packing can add to it.
fit() {
  local size sum=0 sizes
  [ "$#" -le 10000 ] || return 1
  printf '%s\0' "$@" | xargs -0 stat --printf='%s\n' -- > "$desk-sizes"
  mapfile -t sizes < "$desk-sizes"
  for size in "${sizes[@]}"; do sum=$((sum + size)); done
  [ "$sum" -le "$((MAX_PATCH_BYTES / 2))" ]
}
if [ -n "$TAKE_IGNORED" ] && [ "${#ignored[@]}" -gt 0 ]; then
  new=() rest=()
  for path in "${ignored[@]}"; do
    if [ "${path: -1}" != / ] && [ "${#path}" -lt 4096 ]; then new+=("$path"); else rest+=("$path"); fi
  done
  if [ "${#new[@]}" -gt 0 ] && fit "${new[@]}"; then changed+=("${new[@]}") ignored=("${rest[@]}"); fi
fi
left_out+=("${ignored[@]:0:100}")
removed+=("${dropped[@]}")
if [ "$((${#changed[@]} + ${#removed[@]} + ${#rules[@]}))" = 0 ]; then names; exit 0; fi

# Sizes, before anything is read.
[ "${#changed[@]}" -le "$((MAX_PATCH_BYTES / 512))" ] || too_large "the list of new and changed files is longer"
sum=0
for ((at = 0; at < ${#changed[@]}; at += 256)); do
  stat --printf='%s\n' -- "${changed[@]:at:256}" > "$desk-sizes"
  mapfile -t sizes < "$desk-sizes"
  for size in "${sizes[@]}"; do
    [ "$size" -le "$MAX_PATCH_BYTES" ] || too_large "a new or changed file is larger"
    sum=$((sum + size))
  done
  [ "$sum" -le "$MAX_CHANGED_BYTES" ] || too_large "the new and changed files together are larger"
done

# What git cannot take in for its name alone stays out; of anything else the cause lies outside.
: > "$desk-refused"
[ "${#removed[@]}" = 0 ] || printf '%s\0' "${removed[@]}" | git update-index -z --force-remove --stdin
[ "${#changed[@]}" = 0 ] || printf '%s\0' "${changed[@]}" | git update-index -z --add --replace --stdin 2> "$desk-refused" || not_taken
for rule in "${rules[@]}"; do
  git update-index --add --replace --cacheinfo "$rule" 2>> "$desk-errors" || left_out+=("${rule#*,*,}")
done
if [ -s "$desk-refused" ]; then
  git ls-files -z --others --exclude-standard > "$desk-status"
  mapfile -d '' -t -n 100 remaining < "$desk-status"
  for path in "${remaining[@]}"; do in_pristine "$path" || left_out+=("$path"); done
fi

names
options=(--binary --full-index --no-renames --no-color --no-ext-diff --no-textconv --src-prefix=a/ --dst-prefix=b/ --ignore-submodules=none)
if [ "$((${#made[@]} + ${#dropped[@]}))" = 0 ]; then
  git diff "${options[@]}" --cached "$SEAL" >&3
else
  # Between trees, with the index as sealed: the agent's attributes must not turn its changes into binary ones.
  submission=$(git write-tree)
  git read-tree "$SEAL"
  git diff "${options[@]}" "$SEAL" "$submission" >&3
fi
exit 0
