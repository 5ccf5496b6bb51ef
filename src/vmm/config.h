// What a person can say about a virtual machine that runs in this process: plain data from the command line, a
// configuration file, or both.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/types.h"
#include "block/open/open.h"
#include "net/socket/socket.h"
#include "net/tap/tap.h"
#include "net/user/user.h"
#include "virtio/input/input.h"

namespace vireo::vmm {

enum class Engine : u8 { Auto, Kvm, Translate, Interpret };
enum class OnCrash : u8 { Stop, Reboot };
enum class AfterSave : u8 { GoOn, Stop };
enum class Sandbox : u8 { On, Report, Off };

/// Where a serial port's bytes go.
struct Console {
  enum class Kind : u8 { None, Stdio, File, Pty, Socket };
  Kind kind = Kind::Stdio;
  std::string path;  ///< of File and Socket
};

/// Sanitizers need system calls that a machine does not.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr Sandbox kDefaultSandbox = Sandbox::Off;
#else
constexpr Sandbox kDefaultSandbox = Sandbox::On;
#endif

struct SaveOn {
  int signal = 0;
  std::string file;
};

struct DiskConfig {
  std::string file;
  std::optional<block::Format> format;  ///< nothing: by the file's first bytes
  bool read_only = false;
  block::Cache cache = block::Cache::Writeback;
  std::string serial;  ///< what the guest sees, up to 20 characters
  std::string id;      ///< a name for devices that are added at run time; empty: the machine has it from the beginning
};

/// What firmware is told of booting.
struct BootConfig {
  bool menu = false;
  std::vector<unsigned> disks;  ///< numbers, in the order they are tried
};

/// For cloud-init in the guest, on a disk of its own; nothing given: no such disk.
struct SeedConfig {
  std::string user_data;  ///< path
  std::string ssh_key;    ///< path of public keys
  std::string hostname;
};

enum class NetKind : u8 { User, Tap, Socket };

struct NetConfig {
  NetKind kind = NetKind::User;
  std::string id;                        ///< as of a disk
  std::optional<std::array<u8, 6>> mac;  ///< nothing: one that follows from the machine's name and the NIC's number
  std::optional<u16> mtu;                ///< of the link, bytes; what the guest is told
  net::UserOptions user;
  net::TapOptions tap;
  net::SocketOptions socket;
};

/// A port of the virtio console.
struct VirtioConsole {
  Console console;
  std::string name;  ///< given: plain bytes at /dev/virtio-ports/NAME in the guest; empty: a terminal, hvc0 and so on
};

struct VsockConfig {
  u32 cid = 3;         ///< the guest's context ID
  std::string socket;  ///< path
};

/// A folder of the host in the guest; one of path and socket is given.
struct ShareConfig {
  std::string tag;     ///< the guest's name for it
  std::string path;    ///< folder
  std::string socket;  ///< of a virtiofsd that runs already
  bool read_only = false;
};

struct Config {
  std::optional<std::string> name;
  std::string kernel, initrd;  ///< paths, empty: none
  std::string firmware;        ///< path, or a name that vmm/firmware_file.h knows; empty: none
  std::string firmware_log;    ///< path of a file for what firmware says of itself, empty: none
  BootConfig boot;
  std::optional<std::string> append;  ///< kernel command line
  std::optional<u64> memory;          ///< bytes
  std::optional<u64> cpus;
  std::string cpu;  ///< CPU model, empty: the best one this host can run
  Engine engine = Engine::Auto;
  std::optional<u64> code_cache;  ///< translated code of all CPUs, bytes
  Console console;                ///< of the first serial port
  std::vector<Console> serial;    ///< of further ones
  std::vector<VirtioConsole> virtio_consoles;
  std::vector<virtio::InputKind> inputs;
  std::vector<DiskConfig> disks;
  SeedConfig seed;
  std::optional<std::vector<NetConfig>> nics;  ///< nothing: one in user mode, or what a saved machine has
  std::optional<VsockConfig> vsock;
  std::vector<ShareConfig> shares;
  OnCrash on_crash = OnCrash::Stop;
  std::optional<SaveOn> save_on;
  AfterSave after_save = AfterSave::GoOn;
  std::string control;    ///< path of the control socket, empty: none
  std::string stats;      ///< path of a file for statistics, empty: none
  bool perf_map = false;  ///< names for translated code, in /tmp/perf-PID.map
  std::string restore;    ///< path of a state file, empty: boot the kernel
  Sandbox sandbox = kDefaultSandbox;
  bool quiet = false;  ///< nothing on standard error but warnings and errors
};

}  // namespace vireo::vmm
