# A whole Debian as the tests boot it; sourced after lib.sh. The image has a compiler, which quickstart's has not.
image=$("$(dirname "$0")/../../scripts/make-debian-image" --with gcc,libc6-dev,fio)
disk=$work/disk.qcow2
port=''

# A port of this host that is free now.
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A disk of the machine's own over the image, and a key to log in with.
new_disk() {
  qemu-img create -q -f qcow2 -F qcow2 -b "$image/debian.qcow2" "$disk"
  ssh-keygen -q -t ed25519 -N '' -C test -f "$work/key"
}

# start_debian [OPTIONS...]: with a network, through which in_guest comes in.
start_debian() {
  port=$(free_port)
  start_process --kernel "$image/vmlinuz" --initrd "$image/initrd" --append "$(cat "$image/cmdline")" --memory 1G \
    --disk "$disk,format=qcow2" --net "user,hostfwd=tcp:127.0.0.1:$port-:22" --ssh-key "$work/key.pub" "$@"
}

# in_guest SECONDS COMMAND...: as the image's user. Tries again while nobody listens yet (status 255).
in_guest() {
  local end=$((SECONDS + $1)) status=255
  shift
  while [ $status = 255 ] && [ $SECONDS -lt $end ]; do
    status=0
    timeout -s KILL $((end - SECONDS + 1)) ssh -q -i "$work/key" -p "$port" -o BatchMode=yes -o ConnectTimeout=10 \
      -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null debian@127.0.0.1 "$@" </dev/null || status=$?
    [ $status != 255 ] || sleep 0.5
  done
  return $status
}

# The guest's system is up and nothing in it failed.
await_running() {
  local state
  state=$(in_guest "$1" systemctl is-system-running --wait) || true
  [ "$state" = running ] || fail "the system is '$state': $(in_guest 20 systemctl --failed --no-legend --plain || true)"
}

# The disk as it is now holds a file system to which nothing has to be done but what its journal says, twice looked at.
# The sums of what is free in the superblock are nothing ext4 relies on: it counts the groups' when it mounts.
check_file_system() {
  local status=0
  qemu-img convert -O raw "$disk" "$work/raw"
  e2fsck -fy "$work/raw" >"$work/fsck" 2>&1 || status=$?
  [ $status -le 1 ] || fail "e2fsck ended with $status: $(cat "$work/fsck")"
  local complaints
  complaints=$(grep -vE '^$|^e2fsck |recovering journal|^Pass [1-5]|^(Clearing|Truncating) orphaned inode|^Free (blocks|inodes) count wrong \(|^Fix\? yes|MODIFIED|: [0-9]+/[0-9]+ files' \
    "$work/fsck") || true
  [ -z "$complaints" ] || fail "the file system is damaged: $complaints"
  e2fsck -fn "$work/raw" >"$work/fsck" 2>&1 || fail "the file system is still damaged: $(cat "$work/fsck")"
}
