// The PC: memory, CPUs and chips put together. Composition only; what each part does is in its own folder.
//
//   layout     where everything is               board      the chips and the bus: MachineIo
//   firmware   tables and registers at boot      fabric     who has the local APICs
//
// Life: create() checks the spec and that the kernel files are there, and builds everything; boot() resets the machine,
// loads kernel and tables, or firmware, and sets every vCPU's state; the owner then runs the vCPUs on threads of their
// own. A guest's reset or power-off arrives at PcHost::power; the owner stops the vCPUs and calls boot() again, or
// ends. To restore, create(), then prepare_restore(), and load the saved state into stateful(), memory() and vcpus()
// instead of boot().
//
// Threads: boot(), prepare_restore(), stateful(), ports() and the destructor only while no vCPU runs and the clock is
// paused (so that all CPUs get the same time-stamp counter); press_power_button any time.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "block/api/disk.h"
#include "chardev/api/channel.h"
#include "host/fd.h"
#include "machine/pc/fabric.h"
#include "machine/pc/ports.h"
#include "machine/spec/spec.h"
#include "net/api/backend.h"
#include "net/api/streams.h"
#include "vhost/api/backend.h"
#include "virtio/balloon/balloon.h"
#include "virtio/console/console.h"
#include "virtio/input/input.h"
#include "vm/device/device.h"
#include "vm/engine/engine.h"
#include "vm/engine/stats.h"

namespace vireo::machine {

constexpr unsigned kMaxSerialPorts = 4;

/// A disk for the guest; what is behind it outlives the machine.
struct PcDisk {
  block::Disk* disk = nullptr;
  std::string serial;  ///< at most 20 bytes are shown
};

/// What the names of network interfaces' states begin with; their number follows.
constexpr const char* kNicStateName = "virtio_net";

/// A network interface of the guest; what is behind it outlives the machine.
struct PcNic {
  net::Backend* backend = nullptr;
  std::array<u8, 6> mac{};
  std::optional<u16> mtu = {};  ///< what the guest is told, bytes
};

/// The guest's sockets; what is behind them outlives the machine.
struct PcVsock {
  u32 cid = 3;  ///< the guest's context ID, 3 or more
  net::StreamBackend* backend = nullptr;
};

/// A folder of the host, served by another process that outlives the machine.
struct PcShare {
  std::string tag;  ///< 1..36 bytes
  vhost::Backend* backend = nullptr;
};

/// What the machine stands on. References outlive it.
struct PcHost {
  vm::Clock& clock;
  vm::PowerControl& power;
  std::vector<chardev::ByteChannel*> serial = {};       ///< COM1..COM4; empty: no serial port
  std::vector<PcDisk> disks = {};                       ///< virtio-blk, at most layout::kDiskSlots
  std::vector<PcNic> nics = {};                         ///< virtio-net, at most layout::kNicSlots
  std::vector<virtio::ConsolePort> console_ports = {};  ///< of the virtio console; none: there is none
  std::optional<PcVsock> vsock = {};                    ///< goes with `random`
  std::vector<virtio::InputKind> inputs = {};           ///< go with `random`; at most layout::kMaxInputs
  std::vector<PcShare> shares = {};                     ///< go with `balloon`; at most layout::kMaxShares
  bool shared_memory = false;                           ///< another process will map the guest's memory
  chardev::ByteChannel* firmware_log = nullptr;         ///< of firmware, nullptr: nowhere
  bool balloon = false;                                 ///< there is a memory balloon
  /// Random bytes for the guest; empty: no entropy device. Any thread.
  std::function<void(std::span<u8>)> random = {};
  /// The engine. Called once a CPU, by create().
  std::function<Result<std::unique_ptr<vm::Vcpu>>(vm::VcpuSetup)> make_vcpu = {};
  /// What CPUID tells on this CPU (cpu/x86/cpuid_model).
  std::function<vm::x86::CpuidTable(unsigned cpu)> cpuid = {};
  /// An engine with its own local APICs brings them here; empty: software LAPICs. Called once, before the first
  /// make_vcpu.
  std::function<Result<std::unique_ptr<InterruptFabric>>(vm::GuestMemory&)> make_fabric = {};
  /// A guest has done something to a hot-plug port, and Ports::serve() is to be called. Any thread.
  std::function<void()> ports_changed = [] {};
  /// A device that ports().ask_for() named is out; on the owner's thread.
  std::function<void(const std::string& id)> card_removed = [](const std::string&) {};
  /// How the spec's kernel, initrd and firmware are opened, at each boot; empty: by their paths.
  std::function<Result<host::Fd>(const std::string& path)> open_file = {};
};

/// What a device has done since the machine was made; for people, as vm/engine/stats.h.
struct DeviceStats {
  std::string name;  ///< that of its state
  vm::Stats stats;
};

class Pc {
 public:
  /// Errors: Usage for a spec that cannot be, NotFound and Denied for kernel files, Failed for the host's refusals.
  static Result<std::unique_ptr<Pc>> create(const Spec& spec, PcHost host);
  virtual ~Pc() = default;

  virtual const Spec& spec() const = 0;
  virtual vm::GuestMemory& memory() = 0;
  virtual vm::MachineIo& io() = 0;
  /// By APIC id.
  virtual std::span<const std::unique_ptr<vm::Vcpu>> vcpus() = 0;
  /// Every model but CPUs, memory and the clock, in the order they are to be loaded; names are unique.
  virtual std::vector<vm::Stateful*> stateful() = 0;
  /// Where devices come and go at run time.
  virtual Ports& ports() = 0;

  /// Power-on or reset. Errors: Usage (see boot/kernel; nothing named to boot), NotFound, Denied, Failed. After an
  /// error the machine must not be run.
  virtual Result<> boot() = 0;
  /// Before a saved state is loaded: nothing of the past is left on its way.
  virtual void prepare_restore() = 0;
  /// Devices stop working by themselves, and nothing is in flight, or go on; while vCPUs are parked and time stands. A
  /// machine that was booted or restored begins with resume_devices().
  virtual void pause_devices() = 0;
  virtual void resume_devices() = 0;
  /// Why the machine cannot be saved as it is: WrongState. Any thread.
  virtual Result<> can_save() const = 0;
  /// Any thread.
  virtual std::vector<DeviceStats> device_stats() const = 0;
  /// The memory balloon, or nullptr; its host's side is any thread's.
  virtual virtio::Balloon* balloon() = 0;
  /// In the order of PcHost::inputs; report() is any thread's.
  virtual std::vector<virtio::Input*> inputs() = 0;
  virtual void press_power_button() = 0;
  /// The guest listens to the power button.
  virtual bool power_button_enabled() const = 0;
};

}  // namespace vireo::machine
