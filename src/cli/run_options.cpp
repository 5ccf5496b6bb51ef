#include "cli/run_options.h"

#include <algorithm>
#include <charconv>
#include <csignal>

#include "cli/console_option.h"
#include "cli/disk_option.h"
#include "cli/net_option.h"
#include "cli/share_option.h"
#include "cli/vsock_option.h"
#include "machine/spec/spec.h"

namespace vireo::cli {
namespace {

/// More than a machine has.
constexpr u64 kDisks = 256;

using Values = std::span<const std::string>;

/// A whole decimal number and what stands behind it.
Result<u64> parse_number(std::string_view text, std::string_view& rest) {
  u64 number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  rest = text.substr(static_cast<std::size_t>(end - text.data()));
  if (error == std::errc::result_out_of_range) return fail(ErrorKind::Usage, "\"{}\" is too large", text);
  if (error != std::errc()) return fail(ErrorKind::Usage, "\"{}\" is not a whole number", text);
  return number;
}

Result<u64> parse_count(const std::string& text) {
  std::string_view rest;
  TRY_ASSIGN(const u64 number, parse_number(text, rest));
  if (!rest.empty()) return fail(ErrorKind::Usage, "\"{}\" is not a whole number", text);
  return number;
}

Result<int> parse_signal(std::string text) {
  if (text.starts_with("SIG")) text.erase(0, 3);
  if (text == "USR1") return SIGUSR1;
  if (text == "USR2") return SIGUSR2;
  return fail(ErrorKind::Usage, "\"{}\" is no signal that can be used for this; choose SIGUSR1 or SIGUSR2", text);
}

template <class E>
struct Choice {
  const char* name;
  E value;
};

template <class E, std::size_t N>
Result<E> choose(const std::string& text, const Choice<E> (&choices)[N]) {
  std::string names;
  for (const auto& choice : choices) {
    if (text == choice.name) return choice.value;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", choice.name);
  }
  return fail(ErrorKind::Usage, "\"{}\" is unknown; choose one of {}", text, names);
}

Result<> set_path(std::string& path, const std::string& text) {
  if (text.empty()) return fail(ErrorKind::Usage, "the name of the file is empty");
  path = text;
  return {};
}

Result<> set_name(vmm::Config& config, Values values) {
  const auto& name = values[0];
  const bool good = !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
  });
  if (!good)
    return fail(ErrorKind::Usage, "\"{}\" is not a name; use up to 64 letters, digits, '-', '_' and '.'", name);
  config.name = name;
  return {};
}

Result<> set_console(vmm::Config& config, Values values) {
  TRY_ASSIGN(config.console, parse_console(values[0]));
  return {};
}

Result<> set_serial(vmm::Config& config, Values values) {
  config.serial.clear();
  for (const auto& value : values) {
    TRY_ASSIGN(auto console, parse_console(value));
    config.serial.push_back(std::move(console));
  }
  return {};
}

Result<> set_virtio_consoles(vmm::Config& config, Values values) {
  config.virtio_consoles.clear();
  for (const auto& value : values) {
    TRY_ASSIGN(auto port, parse_virtio_console(value));
    config.virtio_consoles.push_back(std::move(port));
  }
  return {};
}

Result<> set_boot(vmm::Config& config, Values values) {
  config.boot = {};
  for (const std::string_view value : values) {
    if (value == "menu") {
      config.boot.menu = true;
      continue;
    }
    constexpr std::string_view kOrder = "order=";
    if (!value.starts_with(kOrder)) {
      return fail(ErrorKind::Usage, "\"{}\" is unknown; write menu, or order= and the disks' numbers", value);
    }
    config.boot.disks.clear();
    std::string_view rest = value.substr(kOrder.size());
    for (bool more = true; more;) {
      TRY_ASSIGN(const u64 disk, parse_number(rest, rest));
      if (disk >= kDisks) return fail(ErrorKind::Usage, "there is no disk {}; their numbers begin with 0", disk);
      config.boot.disks.push_back(static_cast<unsigned>(disk));
      more = rest.starts_with(',');
      if (!more && !rest.empty()) return fail(ErrorKind::Usage, "\"{}\" is no list of disks, such as 1,0", value);
      if (more) rest.remove_prefix(1);
    }
  }
  return {};
}

Result<> set_disks(vmm::Config& config, Values values) {
  config.disks.clear();
  for (const auto& value : values) {
    TRY_ASSIGN(auto disk, parse_disk(value));
    config.disks.push_back(std::move(disk));
  }
  return {};
}

Result<> set_nics(vmm::Config& config, Values values) {
  config.nics.emplace();
  bool none = false;
  for (const auto& value : values) {
    TRY_ASSIGN(auto nic, parse_net(value));
    none |= !nic;
    if (nic) config.nics->push_back(std::move(*nic));
  }
  if (none && values.size() > 1) return fail(ErrorKind::Usage, "none does not go with others");
  if (config.nics->size() > machine::kMaxNics)
    return fail(ErrorKind::Usage, "there can be {} at most", machine::kMaxNics);
  return {};
}

Result<> set_shares(vmm::Config& config, Values values) {
  config.shares.clear();
  for (const auto& value : values) {
    TRY_ASSIGN(auto share, parse_share(value));
    for (const auto& other : config.shares) {
      if (other.tag == share.tag) return fail(ErrorKind::Usage, "two folders have the tag {}", share.tag);
    }
    config.shares.push_back(std::move(share));
  }
  return {};
}

constexpr RunOption kOptions[] = {
    {"kernel", "FILE", 1, "Linux bzImage, or ELF kernel with a PVH note",
     [](vmm::Config& config, Values values) { return set_path(config.kernel, values[0]); }},
    {"initrd", "FILE", 1, "initial RAM disk",
     [](vmm::Config& config, Values values) { return set_path(config.initrd, values[0]); }},
    {"append", "TEXT", 1, "kernel command line",
     [](vmm::Config& config, Values values) -> Result<> {
       config.append = values[0];
       return {};
     }},
    {"firmware", "bios|uefi|FILE", 1,
     "boot from a disk by firmware: SeaBIOS or OVMF (Debian's packages seabios and ovmf), or this file",
     [](vmm::Config& config, Values values) { return set_path(config.firmware, values[0]); }},
    {"firmware-log", "FILE", 1, "what firmware says of itself (port 0x402)",
     [](vmm::Config& config, Values values) { return set_path(config.firmware_log, values[0]); }},
    {"boot", "order=DISK[,DISK...]|menu", 1,
     "which disks firmware tries first, by number (0 is the first), or that it offers a menu; may be given twice",
     set_boot, true},
    {"disk", "FILE[,format=raw|qcow2][,readonly][,cache=writeback|none|unsafe][,serial=TEXT][,id=NAME]", 1,
     "a disk; may be given again. Without format=, a file is qcow2 if it begins like one, and else raw. With id= it is "
     "not plugged in, but there for device_add, and for the devices of a saved machine. FILE may be at an NBD server: "
     "nbd://HOST[:PORT]/EXPORT, nbd+unix:///EXPORT?socket=PATH, nbds: by TLS",
     set_disks, true},
    {"cloud-init", "FILE", 1, "user data for cloud-init in the guest (a NoCloud seed, on a disk after the others)",
     [](vmm::Config& config, Values values) { return set_path(config.seed.user_data, values[0]); }},
    {"ssh-key", "FILE", 1, "public key that may log in by ssh as the image's user, by cloud-init",
     [](vmm::Config& config, Values values) { return set_path(config.seed.ssh_key, values[0]); }},
    {"hostname", "NAME", 1, "what the guest calls itself, by cloud-init",
     [](vmm::Config& config, Values values) -> Result<> {
       if (values[0].empty()) return fail(ErrorKind::Usage, "the name is empty");
       config.seed.hostname = values[0];
       return {};
     }},
    {"net", "user[,hostfwd=tcp:127.0.0.1:2222-:22][,...]|tap,ifname=NAME|socket,listen=ADDRESS|none", 1,
     "a network interface; may be given again. user: DHCP gives 10.0.2.15, the host is 10.0.2.2, hostfwd= leads from a "
     "port of the host into the guest; tap: an interface of the host; socket: a wire to another machine, by listen=, "
     "connect= or datagram= and local=. All take mac=, mtu= (user) and id= (as of --disk)",
     set_nics, true},
    {"share", "tag=NAME,path=FOLDER[,readonly]|tag=NAME,socket=FILE", 1,
     "a folder of the host, which the guest mounts by its tag (mount -t virtiofs NAME FOLDER); may be given again. "
     "path= "
     "starts virtiofsd for it, socket= connects to one that runs",
     set_shares, true},
    {"vsock", "socket=FILE[,cid=N]", 1,
     "sockets between guest and host (AF_VSOCK) by a Unix socket: who connects to FILE and says \"CONNECT PORT\" "
     "reaches "
     "the guest's PORT; the guest's connections to port P of the host (CID 2) reach FILE_P. cid= is the guest's (3)",
     [](vmm::Config& config, Values values) -> Result<> {
       TRY_ASSIGN(config.vsock, parse_vsock(values[0]));
       return {};
     }},
    {"memory", "SIZE", 1, "memory, with K, M, G or T for powers of 1024 (512M)",
     [](vmm::Config& config, Values values) -> Result<> {
       TRY_ASSIGN(config.memory, parse_size(values[0]));
       if (*config.memory < kMiB) {
         return fail(ErrorKind::Usage, "\"{}\" is less than 1 MiB; write M or G behind the number, such as 512M",
                     values[0]);
       }
       return {};
     }},
    {"cpus", "N", 1, "number of virtual CPUs (1)",
     [](vmm::Config& config, Values values) -> Result<> {
       TRY_ASSIGN(config.cpus, parse_count(values[0]));
       return {};
     }},
    {"cpu", "NAME|host", 1, "CPU model; host is all that this host has (the best named one that it can run)",
     [](vmm::Config& config, Values values) -> Result<> {
       if (values[0].empty()) return fail(ErrorKind::Usage, "the name of the CPU model is empty");
       config.cpu = values[0];
       return {};
     }},
    {"engine", "auto|kvm|translate|interpret", 1,
     "what runs the CPUs; auto takes KVM with hardware behind it, and else the translator (auto)",
     [](vmm::Config& config, Values values) -> Result<> {
       using enum vmm::Engine;
       TRY_ASSIGN(config.engine,
                  choose<vmm::Engine>(
                      values[0], {{"auto", Auto}, {"kvm", Kvm}, {"translate", Translate}, {"interpret", Interpret}}));
       return {};
     }},
    {"code-cache", "SIZE", 1,
     "the most memory that translated code takes, of all CPUs (an eighth of the guest's memory)",
     [](vmm::Config& config, Values values) -> Result<> {
       TRY_ASSIGN(config.code_cache, parse_size(values[0]));
       if (*config.code_cache < kMiB || *config.code_cache > kGiB) {
         return fail(ErrorKind::Usage, "\"{}\" is not between 1M and 1G", values[0]);
       }
       return {};
     }},
    {"name", "NAME", 1, "name of the machine (vireo)", set_name},
    {"console", "stdio|none|pty|file,path=FILE|socket,path=FILE", 1,
     "where the first serial port goes: this terminal, nowhere, a pseudo terminal, a file, a Unix socket (stdio)",
     set_console},
    {"serial", "pty|none|file,path=FILE|socket,path=FILE|stdio", 1,
     "a further serial port, and where it goes; may be given three times", set_serial, true},
    {"virtio-console", "pty|none|file,path=FILE|socket,path=FILE|stdio[,name=NAME]", 1,
     "a port of the virtio console, and where it goes; may be given again. A terminal (hvc0 in Linux), or with name= "
     "plain "
     "bytes at /dev/virtio-ports/NAME",
     set_virtio_consoles, true},
    {"input", "keyboard|tablet|mouse", 1,
     "an input device, which programs use by the control socket's send-key and input-send-event; may be given again",
     [](vmm::Config& config, Values values) -> Result<> {
       using enum virtio::InputKind;
       config.inputs.clear();
       for (const auto& value : values) {
         TRY_ASSIGN(const auto kind,
                    choose<virtio::InputKind>(value, {{"keyboard", Keyboard}, {"tablet", Tablet}, {"mouse", Mouse}}));
         config.inputs.push_back(kind);
       }
       return {};
     },
     true},
    {"on-crash", "stop|reboot", 1, "what follows a triple fault (stop)",
     [](vmm::Config& config, Values values) -> Result<> {
       using enum vmm::OnCrash;
       TRY_ASSIGN(config.on_crash, choose<vmm::OnCrash>(values[0], {{"stop", Stop}, {"reboot", Reboot}}));
       return {};
     }},
    {"save-on", "SIGNAL FILE", 2, "save the whole machine to FILE whenever SIGUSR1 (or SIGUSR2) arrives",
     [](vmm::Config& config, Values values) -> Result<> {
       vmm::SaveOn save_on;
       TRY_ASSIGN(save_on.signal, parse_signal(values[0]));
       TRY(set_path(save_on.file, values[1]));
       config.save_on = save_on;
       return {};
     }},
    {"after-save", "go-on|stop", 1, "whether the machine goes on running once it is saved (go-on)",
     [](vmm::Config& config, Values values) -> Result<> {
       using enum vmm::AfterSave;
       TRY_ASSIGN(config.after_save, choose<vmm::AfterSave>(values[0], {{"go-on", GoOn}, {"stop", Stop}}));
       return {};
     }},
    {"control", "FILE", 1, "Unix socket at which programs control the machine, by QMP",
     [](vmm::Config& config, Values values) { return set_path(config.control, values[0]); }},
    {"stats", "FILE", 1, "write statistics to FILE (JSON) at the end, and whenever SIGUSR2 arrives",
     [](vmm::Config& config, Values values) { return set_path(config.stats, values[0]); }},
    {"perf-map", nullptr, 0, "name translated code for perf, in /tmp/perf-PID.map",
     [](vmm::Config& config, Values) -> Result<> {
       config.perf_map = true;
       return {};
     }},
    {"sandbox", "on|report|off", 1,
     "what a forbidden system call of this process does: kills it, names itself first, or is not forbidden (on)",
     [](vmm::Config& config, Values values) -> Result<> {
       using enum vmm::Sandbox;
       TRY_ASSIGN(config.sandbox, choose<vmm::Sandbox>(values[0], {{"on", On}, {"report", Report}, {"off", Off}}));
       return {};
     }},
    {"restore", "FILE", 1, "go on with the machine that was saved to FILE, instead of booting a kernel",
     [](vmm::Config& config, Values values) { return set_path(config.restore, values[0]); }},
    {"quiet", nullptr, 0, "print only warnings and errors",
     [](vmm::Config& config, Values) -> Result<> {
       config.quiet = true;
       return {};
     }},
};

}  // namespace

Result<u64> parse_size(const std::string& text) {
  std::string_view rest;
  TRY_ASSIGN(const u64 number, parse_number(text, rest));
  if (rest.ends_with("iB")) rest.remove_suffix(2);
  constexpr std::string_view kUnits = "KMGT";
  unsigned shift = 0;
  if (!rest.empty()) {
    const auto unit = rest.size() == 1
                          ? kUnits.find(static_cast<char>(std::toupper(static_cast<unsigned char>(rest[0]))))
                          : kUnits.npos;
    if (unit == kUnits.npos) {
      return fail(ErrorKind::Usage, "\"{}\" is not a size; write a whole number and K, M, G or T, such as 512M", text);
    }
    shift = 10 * static_cast<unsigned>(unit + 1);
  }
  if (number > (~u64{0} >> shift)) return fail(ErrorKind::Usage, "\"{}\" is too large", text);
  return number << shift;
}

std::span<const RunOption> run_options() { return kOptions; }

const RunOption* find_run_option(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kOptions), std::end(kOptions), [&](const auto& o) { return name == o.name; });
  return found == std::end(kOptions) ? nullptr : found;
}

}  // namespace vireo::cli
