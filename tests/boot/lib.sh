# What the boot tests share; sourced with the binary and the folder of guests as the first two arguments.
#
# A machine's standard input is a pipe the test writes to, its output goes line by line to $console. Every wait is
# bounded, and a failing test prints the console.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin # mke2fs
vireo=$1 guests=$2
shift 2

work=$(mktemp -d)
console=$work/console
errors=$work/errors
pid=''
: >"$console"

cleanup() {
  [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
trap 'fail "line $LINENO: $BASH_COMMAND"' ERR

fail() {
  trap - ERR
  echo "FAILED: $*"
  echo "--- standard error"
  cat "$errors" 2>/dev/null || true
  echo "--- the guest's console"
  tail -n 400 "$console" 2>/dev/null | tr -d '\r' || true
  exit 1
}

# Copies the console to a file; the lines a test holds against the host's clock get its time: "SECONDS.MICROS LINE".
keep_console() {
  local line
  while IFS= read -r line || [ -n "$line" ]; do
    printf '%s\n' "${line%$'\r'}"
    [[ $line != *"VIREO MARK"* ]] || printf '%s %s\n' "$EPOCHREALTIME" "${line%$'\r'}" >>"$work/marks"
  done >>"$console"
}

# The engine machines run on, if a test is for a certain one; a test may change it between two machines.
engine=${VIREO_ENGINE:-auto}

# start_process ARGUMENTS...: runs `vireo run ARGUMENTS`; sets pid. Its console is appended to $console.
start_process() {
  rm -f "$work/stdin" "$work/stdout"
  mkfifo "$work/stdin" "$work/stdout"
  keep_console <"$work/stdout" &
  keeper=$!
  exec {input}<>"$work/stdin"
  "$vireo" run --engine "$engine" "$@" <"$work/stdin" >"$work/stdout" 2>>"$errors" &
  pid=$!
}

# start KERNEL CPUS MEMORY_MIB "APPEND" [OPTIONS...]: boots one of the prepared guests.
start() {
  local kernel=$1 cpus=$2 memory=$3 append=$4 initrd=$guests/initrd
  shift 4
  [ ! -e "$initrd-$kernel" ] || initrd=$initrd-$kernel
  if [ -d "$work/more" ]; then # archives may stand one behind the other
    (cd "$work/more" && find . -print0 | cpio --null --quiet -o -H newc -R 0:0) | cat "$initrd" - >"$work/initrd"
    initrd=$work/initrd
  fi
  start_process --kernel "$guests/$kernel" --initrd "$initrd" --append "console=ttyS0 $append" \
    --memory "${memory}M" --cpus "$cpus" "$@"
}

# What a test adds to the guest's initramfs: add_to_initrd FILE NAME puts a file into /bin, build_for_guest SOURCE NAME a
# static program. With vireo.init=script the guest runs /bin/script.
add_to_initrd() {
  mkdir -p "$work/more/bin"
  cp "$1" "$work/more/bin/$2"
  chmod 755 "$work/more/bin/$2"
}
build_for_guest() {
  mkdir -p "$work/more/bin"
  gcc -O1 -static -Wall -Wextra -Werror -o "$work/more/bin/$2" "$1"
}

type_line() { printf '%s\n' "$1" >&"$input"; }

# await SECONDS PATTERN [COUNT]: until the console shows the pattern that many times (once).
await() {
  local end=$((SECONDS + $1))
  until [ "$(grep -acE -- "$2" "$console" 2>/dev/null)" -ge "${3:-1}" ]; do
    [ $SECONDS -lt $end ] || fail "no '$2' on the console within $1 s"
    ! grep -aqE 'Kernel panic|Oops:' "$console" 2>/dev/null || fail "the guest's kernel crashed"
    if ! kill -0 "$pid" 2>/dev/null; then
      sleep 0.5 # what it wrote last may still be on its way
      [ "$(grep -acE -- "$2" "$console" 2>/dev/null)" -ge "${3:-1}" ] || fail "vireo ended before '$2' was on the console"
    fi
    sleep 0.1
  done
}

# await_end SECONDS [STATUS]: until the process has ended, with that exit status (0).
await_end() {
  local end=$((SECONDS + $1)) status=0
  while kill -0 "$pid" 2>/dev/null; do
    [ $SECONDS -lt $end ] || fail "vireo did not end within $1 s"
    ! grep -aqE 'Kernel panic|Oops:' "$console" 2>/dev/null || fail "the guest's kernel crashed"
    sleep 0.1
  done
  wait "$pid" || status=$?
  pid=''
  wait "$keeper" || true
  exec {input}>&-
  [ "$status" = "${2:-0}" ] || fail "vireo ended with status $status, not ${2:-0}"
}

# expect PATTERN: the console has it.
expect() { grep -aqE -- "$1" "$console" || fail "no '$1' on the console"; }

# The guest's own time between two marks of the self-test agrees with the host's, in the same process.
expect_time_agrees() {
  awk '
    /VIREO MARK time start/ { host = $1; guest = $NF }
    /VIREO MARK time end/ {
      host_seconds = $1 - host
      guest_seconds = ($NF - guest) / 100
      printf "time: %.2f s in the guest, %.2f s on the host\n", guest_seconds, host_seconds
      seen = 1
      off = guest_seconds - host_seconds
      exit !(off > -0.4 && off < 0.4)
    }
    END { if (!seen) exit 1 }' "$work/marks" || fail "the guest's time and the host's disagree"
}

# make_disk FILE SIZE: a raw disk with an ext4 file system that holds the files random and sums.
make_disk() {
  mkdir -p "$work/files"
  head -c 3000000 /dev/urandom >"$work/files/random"
  (cd "$work/files" && sha256sum random >sums)
  truncate -s "$2" "$1"
  mke2fs -q -t ext4 -d "$work/files" "$1" || fail "no file system can be made (e2fsprogs)"
}
