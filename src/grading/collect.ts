/** Exit codes of `COLLECT`; any other is a failure of the helper. */
export const EXIT = { ok: 0, noTree: 10, tooLarge: 11, unreadable: 12 } as const;

/**
 * The program of the helper sandbox: leaves `$DESK/patch` (the diff of the viewed work tree against `$SEAL`) and `$DESK/left-out` (names, each ended
 * by NUL). It runs nothing that the agent could write, follows no link of the agent's and opens nothing but regular files.
 *
 * Ignore rules and attributes come from the seal: the agent's `.gitignore` and `.gitattributes` leave the view and their sealed entries are marked
 * skip-worktree, so that git reads them from the index; afterwards the agent's versions enter the index as plain content.
 */
export const COLLECT = String.raw`
set -u -o pipefail
export LC_ALL=C
exec 3>&1 >/dev/null
no_tree() { echo "$1" >&3; exit ${EXIT.noTree}; }
too_large() { echo "$1" >&3; exit ${EXIT.tooLarge}; }
names() { tr -cd '\0' < "$1" | wc -c; }
failed() { echo "$1" >&3; exit 1; }
# Whether the helper itself can still write; what programs say tells nothing, for the agent's names are in it.
has_room() { dd if=/dev/zero of="$DESK/room" bs=1M count=4 conv=fsync 2>/dev/null && rm "$DESK/room"; }
no_room() { failed "the helper has no room"; }
trap 'echo "line $LINENO" >&3; exit 1' ERR

export GIT_DIR="$PRISTINE/.git" GIT_LITERAL_PATHSPECS=1 GIT_OPTIONAL_LOCKS=0
git() {
  command git -c core.autocrlf=false -c core.safecrlf=false -c core.fileMode=true -c core.symlinks=true -c core.ignoreCase=false \
    -c core.excludesFile=/dev/null -c core.attributesFile=/dev/null -c core.bigFileThreshold=512m -c core.quotePath=true "$@"
}
rm -rf "$DESK"; mkdir -p "$DESK"; : > "$DESK/left-out"; : > "$DESK/rules"
for section in $(git config --local --name-only --get-regexp '^filter[.]' | sed 's/[.][^.]*$//' | sort -u || true); do
  git config --local --remove-section "$section" || true
done
git rev-parse --verify --quiet "$SEAL^{commit}" || failed "the helper's own git directory lacks the seal"

tree="$VIEW/$INSIDE"
[ ! -L "$tree" ] || no_tree "a link"
[ -e "$tree" ] || no_tree "gone"
[ -d "$tree" ] || no_tree "no folder"
[ "$(realpath "$tree")" = "$(realpath "$VIEW")/$INSIDE" ] || no_tree "behind a link"
if [ -n "$COPY" ]; then
  cp -a --reflink=auto -- "$tree" "$DESK/tree"
  tree="$DESK/tree"
fi
cd "$tree"
export GIT_WORK_TREE="$tree"

trap 'echo "line $LINENO" >&3; has_room || no_room; exit ${EXIT.unreadable}' ERR

# What git must not meet: what is neither file, folder nor link, and what makes a folder within look like a repository.
find . -mindepth 1 ! -type f ! -type d ! -type l -printf '%P\0' -delete >> "$DESK/left-out"
find . -mindepth 2 -name .git -prune -printf '%P\0' >> "$DESK/left-out"
find . -mindepth 2 ! -type d '(' -name .git -o -path '*/.git/HEAD' ')' -delete

# The agent's rules, out of sight, to be added at the end as plain content.
set -- ! -type d '(' -name .gitignore -o -name .gitattributes ')' ! -path '*/.git/*'
[ -z "$(find . "$@" -size +"$MAX_PATCH_BYTES"c -print -quit)" ] || too_large "a file of rules is larger"
find . "$@" -printf '%P\0' > "$DESK/agent-rules"
[ "$(names "$DESK/agent-rules")" -le 10000 ] || too_large "the list of files of rules is longer"
lost=
while IFS= read -r -d "" path; do
  if [ -L "$path" ]; then
    mode=120000; blob=$(readlink -n -- "$path" | git hash-object -w --stdin)
  else
    mode=100644; [ ! -x "$path" ] || mode=100755
    blob=$(git hash-object -w --no-filters --stdin < "$path") || { lost=yes; continue; } # a path too long for git, too
  fi
  printf '%s\0' "$mode,$blob,$path" >> "$DESK/rules"
done < "$DESK/agent-rules"
find . "$@" -delete
git ls-files -z | grep -z -E '(^|/)[.]git(ignore|attributes)$' > "$DESK/sealed-rules" || true
git update-index -z --skip-worktree --stdin < "$DESK/sealed-rules"

# Ignored files that set-up did not leave there.
git ls-files -z --others --ignored --exclude-standard | sort -z > "$DESK/ignored"
(cd "$PRISTINE" && GIT_WORK_TREE="$PRISTINE" git ls-files -z --others --ignored --exclude-standard | sort -z > "$DESK/ignored-before")
comm -z -23 "$DESK/ignored" "$DESK/ignored-before" | head -z -n 100 >> "$DESK/left-out" || true

# Sizes, before anything is read.
{ git ls-files -z --others --exclude-standard; git diff-files -z --name-only --diff-filter=d; } > "$DESK/changed"
[ "$(names "$DESK/changed")" -le "$((MAX_PATCH_BYTES / 512))" ] || too_large "the list of new and changed files is longer"
sum=0
while IFS= read -r -d "" size; do
  [ "$size" -le "$MAX_PATCH_BYTES" ] || too_large "a new or changed file is larger"
  sum=$((sum + size))
  [ "$sum" -le "$MAX_CHANGED_BYTES" ] || too_large "the new and changed files together are larger"
done < <(xargs -0 -r stat --printf='%s\0' -- < "$DESK/changed")

# What git cannot take in (a name that it forbids, a path too long) stays out; of anything else that it left the cause lies outside.
git add --all --ignore-errors . 2> "$DESK/errors" || true
{ git ls-files -z --others --exclude-standard; git diff-files -z --name-only --diff-filter=d; } | head -z -n 100 > "$DESK/remaining" || true
blob=$(git hash-object --stdin < /dev/null)
while IFS= read -r -d "" path; do
  [ -e "$path" ] || [ -L "$path" ] || continue
  ! GIT_INDEX_FILE="$DESK/names" git update-index --add --cacheinfo "100644,$blob,$path" 2>> "$DESK/errors" || no_room
done < "$DESK/remaining"
git update-index -z --force-remove --stdin < "$DESK/sealed-rules"
while IFS= read -r -d "" entry; do
  git update-index --add --replace --cacheinfo "$entry" 2>> "$DESK/errors" || lost=yes
done < "$DESK/rules"
[ -z "$lost" ] || has_room || no_room
# Between trees, with the index as sealed: the agent's attributes must not turn its changes into binary ones.
submission=$(git write-tree)
git read-tree "$SEAL"
git diff --binary --full-index --no-renames --no-color --no-ext-diff --no-textconv --src-prefix=a/ --dst-prefix=b/ "$SEAL" "$submission" |
  head -c "$((MAX_PATCH_BYTES + 1))" > "$DESK/patch" || [ "$(stat -c %s "$DESK/patch")" -gt "$MAX_PATCH_BYTES" ]
exit 0
`;
