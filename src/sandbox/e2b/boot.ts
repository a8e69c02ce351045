/** Where all that is ours lies in a machine of the service. Commands see an empty folder there. */
export const PLACE = "/var/lib/sandlot";

/**
 * Runs in a machine as root: gives the sandbox control groups, a disk of its own and a root on it, and becomes the runner. Nothing that the sandbox writes ever lies where the machine's own
 * programs do: its root is an overlay whose upper layer is on that disk. Tells what it could do in a line `sandlot: ...` on stderr. Arguments: network, MiB of memory, thousandths of a core,
 * processes, MiB of disk, whether folders of what lies below can be renamed (on, off), then a mount point for each view (whose archives lie in PLACE), `--`, and for each bind its mount point.
 */
export const BOOT = `
set -e
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
place=${PLACE} groups=/sys/fs/cgroup kept=
network=$1 memory=$2 cpu=$3 pids=$4 disk=$5 renames=$6
shift 6
try() { "$@" 2>/dev/null; }
put() { echo "$2" > "$1"; }
make_disk() { truncate -s \${disk}M $image && mkfs.ext4 -q -F -O ^has_journal -m 0 -E lazy_itable_init=1,nodiscard $image; }
if [ -f $groups/cgroup.controllers ]; then
  group=$groups/sandlot
  for name in memory cpu pids; do try put $groups/cgroup.subtree_control +$name || :; done
  try mkdir -p $group || :
  if try put $group/memory.max $((memory << 20)); then kept="$kept memory"; try put $group/memory.swap.max 0 || :; fi
  if try put $group/cpu.max "$((cpu * 100)) 100000"; then kept="$kept cpu"; fi
  if try put $group/pids.max $pids; then kept="$kept pids"; fi
  try put $group/cgroup.procs $$ || kept=
else
  for name in memory cpu pids freezer; do try mkdir -p $groups/$name/sandlot || :; done
  group=$groups/memory/sandlot
  if try put $group/memory.limit_in_bytes $((memory << 20)) && try put $group/cgroup.procs $$; then kept="$kept memory"; fi
  try put $group/memory.memsw.limit_in_bytes $((memory << 20)) || :
  group=$groups/cpu/sandlot
  if try put $group/cpu.cfs_period_us 100000 && try put $group/cpu.cfs_quota_us $((cpu * 100)) && try put $group/cgroup.procs $$; then kept="$kept cpu"; fi
  group=$groups/pids/sandlot
  if try put $group/pids.max $pids && try put $group/cgroup.procs $$; then kept="$kept pids"; fi
  try put $groups/freezer/sandlot/cgroup.procs $$ || :
fi
mkdir -p $place/own $place/root
image=$place/disk-$disk.ext4
if { try test -f $image || try make_disk; } && try mount -o loop $image $place/own; then
  kept="$kept disk"
else
  rm -f $image
  mount -t tmpfs -o size=\${disk}m,mode=755 tmpfs $place/own
  kept="$kept disk-in-memory"
fi
export place network kept renames
exec unshare --mount --propagation private bash -c '
set -e
stack() {
  mkdir -p $place/own/$1/upper $place/own/$1/work
  if [ -f $place/$1.tar ]; then tar -xf $place/$1.tar -C $place/own/$1/upper --numeric-owner --xattrs "--xattrs-include=*"; fi
  mount -t overlay overlay -o redirect_dir=$renames,lowerdir=/,upperdir=$place/own/$1/upper,workdir=$place/own/$1/work "$2"
}
root=$place/root
stack own $root
at=0
while [ "$1" != -- ]; do
  mkdir -p "$root$1"
  stack view$at "$root$1"
  at=$((at + 1)); shift
done
shift
at=0
for target; do
  source=$place/binds/$at
  if [ -d $source ]; then mkdir -p "$root$target"; else mkdir -p "$(dirname "$root$target")"; [ -e "$root$target" ] || : > "$root$target"; fi
  mount --bind $source "$root$target"
  mount -o remount,bind,ro "$root$target"
  at=$((at + 1))
done
mkdir -p $root/proc $root/dev $root/sys $root/run $root/tmp
mount -t proc proc $root/proc
exec 9< $place/runner
if [ "$network" = none ]; then : > $root/etc/resolv.conf 2>/dev/null || :; fi
mount -t tmpfs -o ro,size=4k,mode=000 tmpfs $root$place
echo "sandlot:$kept" >&2
cd $root
pivot_root . .
umount -l .
exec /proc/self/fd/9 isolate $network
' boot "$@"
`;

/** Stops, or continues, all that runs in the sandbox; the machine's own processes go on. Argument: 1 or 0. */
export const FREEZE = `
set -e
groups=/sys/fs/cgroup
if [ -f $groups/sandlot/cgroup.freeze ]; then
  echo $1 > $groups/sandlot/cgroup.freeze
  state() { grep -q "^frozen $1" $groups/sandlot/cgroup.events; }
elif [ -f $groups/freezer/sandlot/freezer.state ]; then
  if [ $1 = 1 ]; then word=FROZEN; else word=THAWED; fi
  echo $word > $groups/freezer/sandlot/freezer.state
  state() { [ "$(cat $groups/freezer/sandlot/freezer.state)" = $word ]; }
else
  if [ $1 = 1 ]; then signal=STOP; else signal=CONT; fi
  space=$(readlink /proc/$2/ns/pid_for_children)
  inside() { for each in /proc/[0-9]*; do if [ "$(readlink $each/ns/pid 2>/dev/null)" = "$space" ]; then echo "\${each#/proc/}"; fi; done; }
  for round in 1 2 3 4 5; do for each in $(inside); do kill -$signal $each 2>/dev/null || :; done; done
  state() { :; }
fi
for round in $(seq 1200); do if state $1; then exit 0; fi; sleep 0.1; done
exit 1
`;

/** Ends every process of the sandbox but the first. Argument: the runner's process as the machine counts. */
export const KILL = `
space=$(readlink /proc/$1/ns/pid_for_children)
for round in 1 2 3 4 5; do
  for each in /proc/[0-9]*; do
    if [ "$(readlink $each/ns/pid 2>/dev/null)" = "$space" ] && ! grep -q "^NSpid:.*[[:space:]]1$" $each/status; then kill -KILL "\${each#/proc/}" 2>/dev/null || :; fi
  done
done
`;

/** Packs what the sandbox changed, as an overlay has it, and prints the archive's size; nothing may be written meanwhile. Arguments: the archive, and a folder of which, with those that hold it, the rest is left out. */
export const PACK = `
set -e
cd ${PLACE}/own/own/upper
holders=() inner=.
IFS=/ read -r -a parts <<< "\${2#/}"
for part in "\${parts[@]}"; do
  holders+=("$inner") inner=$inner/$part
  if [ ! -e "$inner" ] && [ ! -L "$inner" ]; then inner=; break; fi
  if [ -L "$inner" ] || [ ! -d "$inner" ]; then break; fi
done
tar -S --numeric-owner --xattrs --xattrs-include='trusted.overlay.opaque' --xattrs-include='trusted.overlay.redirect' \\
  --xattrs-include='security.capability' -cf "$1" --no-recursion "\${holders[@]}" \${inner:+--recursion "$inner"}
stat -c %s "$1"
`;

/** Fails where another machine was furnished on the same files: a service whose sandboxes share those would mix their environments. Argument: the machine's id. */
export const CLAIM = `
mkdir -p ${PLACE}
(set -C; echo "$1" > ${PLACE}/machine) 2>/dev/null && exit 0
read -r owner < ${PLACE}/machine
[ "$owner" = "$1" ] && exit 0
echo "the service's sandboxes share their files: these are those of $owner" >&2
exit 1
`;

/**
 * Puts a layer onto the machine's own root file system, behind whatever is mounted there: what a sandbox's root is laid over. Argument: the archive; beside it, with the ending .removed, the names of
 * what goes first, and with .files those that are no folders, before which folders give way. Done once, however often it is run.
 */
export const APPLY = `
set -e
[ ! -e "$1.done" ] || exit 0
mkdir -p ${PLACE}/root
unshare --mount --propagation private bash -c '
set -e
mount --bind / ${PLACE}/root
cd ${PLACE}/root
xargs -0 -r -a "$1.removed" rm -rf --
while IFS= read -r -d "" path; do if [ -d "$path" ] && [ ! -L "$path" ]; then rm -rf -- "$path"; fi; done < "$1.files"
tar -xf "$1" --numeric-owner --same-owner --same-permissions --xattrs --xattrs-include="security.capability"
' apply "$1"
: > "$1.done"
rm -f "$1" "$1.removed" "$1.files"
`;

/** Makes ready what a boot would have to make. Argument: MiB of disk. */
export const SETTLE = `
chmod 755 ${PLACE}/runner
image=${PLACE}/disk-$1.ext4
if ! { truncate -s $1M $image && mkfs.ext4 -q -F -O ^has_journal -m 0 -E lazy_itable_init=1,nodiscard $image; } 2>/dev/null; then rm -f $image; fi
sync
`;

/** Prints how many processes the kernel ended for want of memory: those of the sandbox, where it has a control group, else of the machine. */
export const OOM_KILLS = `
groups=/sys/fs/cgroup
for file in $groups/sandlot/memory.events $groups/memory/sandlot/memory.oom_control /proc/vmstat; do
  if [ -f $file ]; then exec sed -n 's/^oom_kill //p' $file; fi
done
`;

/** Prints the bytes that the sandbox has on its disk and in memory. */
export const USAGE = `
groups=/sys/fs/cgroup
df --output=used -B1 ${PLACE}/own | tail -n 1
cat $groups/sandlot/memory.current 2>/dev/null || cat $groups/memory/sandlot/memory.usage_in_bytes 2>/dev/null || echo 0
`;
