#include "machine/pc/pc.h"

#include <algorithm>
#include <iterator>

#include "base/bits.h"
#include "boot/kernel/kernel.h"
#include "dev/rtc/spec.h"
#include "host/file.h"
#include "host/map.h"
#include "machine/pc/board.h"
#include "machine/pc/firmware.h"
#include "machine/pc/layout.h"
#include "machine/pc/slots.h"
#include "machine/pc/software_fabric.h"

namespace vireo::machine {
namespace {

static_assert(std::size(layout::kComPorts) == kMaxSerialPorts);

/// CPUID 80000008h EAX 7..0; 36 where the leaf is missing (SDM 2A, CPUID).
unsigned physical_address_bits(const vm::x86::CpuidTable& cpuid) {
  const auto* leaf = cpuid.find(0x80000008, 0);
  return leaf == nullptr ? 36 : std::clamp(leaf->eax & 0xFF, 32u, 52u);
}

/// A file's bytes, in memory that goes back to the host afterwards (the heap would keep it).
struct FileBytes {
  host::Map map;
  std::span<const u8> bytes;
};

Result<host::Fd> open_file(const PcHost& host, const std::string& path) {
  return host.open_file ? host.open_file(path) : host::open_to_read(path);
}

/// The whole file; Usage when it is larger than the guest's memory, into which it must fit anyway.
Result<FileBytes> read_file(const PcHost& host, const std::string& path, u64 guest_memory) {
  const u64 limit = std::min(guest_memory, 4 * kGiB);
  TRY_ASSIGN(const host::Fd file, open_file(host, path));
  host::rewind(file);
  TRY_ASSIGN(host::Map map, host::Map::anonymous(limit + kPageSize));
  TRY_ASSIGN(const std::size_t size, host::read_up_to(file, std::span(map.data(), limit + 1), path));
  if (size > limit) {
    return fail(ErrorKind::Usage, "'{}' is too large for the machine's {} MiB of memory", path, guest_memory / kMiB);
  }
  const std::span<const u8> bytes(map.data(), size);
  return FileBytes{std::move(map), bytes};
}

class PcMachine final : public Pc {
 public:
  PcMachine(const Spec& spec, PcHost host, vm::GuestMemory memory)
      : spec_(spec), host_(std::move(host)), memory_(std::move(memory)) {}

  Result<> build();

  const Spec& spec() const override { return spec_; }
  vm::GuestMemory& memory() override { return memory_; }
  vm::MachineIo& io() override { return *board_; }
  std::span<const std::unique_ptr<vm::Vcpu>> vcpus() override { return vcpus_; }
  std::vector<vm::Stateful*> stateful() override { return board_->stateful(); }
  Ports& ports() override { return board_->ports(); }
  Result<> boot() override;
  void prepare_restore() override {
    fabric_->reset();
    booted_ = true;  // memory has content from now on
  }
  void pause_devices() override {
    for (auto& device : board_->virtio()) device.pause();
    board_->ports().pause();
  }
  void resume_devices() override {
    for (auto& device : board_->virtio()) device.resume();
    board_->ports().resume();
  }
  Result<> can_save() const override {
    for (const auto& device : board_->virtio()) TRY(device.can_save());
    return {};
  }
  std::vector<DeviceStats> device_stats() const override;
  virtio::Balloon* balloon() override { return plugged_.balloon; }
  std::vector<virtio::Input*> inputs() override { return plugged_.inputs; }
  void press_power_button() override { board_->acpi_pm().press_power_button(); }
  bool power_button_enabled() const override { return board_->acpi_pm().power_button_enabled(); }

 private:
  Result<vm::x86::CpuState> load_kernel();
  Result<> load_firmware();
  bool with_firmware() const { return spec_.firmware_size != 0; }
  firmware::Platform platform() const;

  const Spec spec_;
  const PcHost host_;
  vm::GuestMemory memory_;
  unsigned physical_address_bits_ = 36;
  std::unique_ptr<InterruptFabric> fabric_;
  std::unique_ptr<Board> board_;
  PluggedDevices plugged_;
  std::vector<std::unique_ptr<vm::Vcpu>> vcpus_;
  bool booted_ = false;
};

Result<> PcMachine::build() {
  physical_address_bits_ = physical_address_bits(host_.cpuid(0));
  if (layout::end_of_memory(spec_.memory, spec_.firmware_size) > bit(physical_address_bits_)) {
    return fail(ErrorKind::Usage, "the CPU's {} address bits cannot reach {} MiB of memory", physical_address_bits_,
                spec_.memory / kMiB);
  }
  if (host_.make_fabric) {
    TRY_ASSIGN(fabric_, host_.make_fabric(memory_));
  } else {
    fabric_ = std::make_unique<SoftwareFabric>(memory_, host_.clock, spec_.cpus, physical_address_bits_);
  }
  const auto pic_output = [this](bool level) {
    if (!fabric_->pic_output(level) && level && !vcpus_.empty()) vcpus_.front()->kick();
  };
  board_ = std::make_unique<Board>(Board::Setup{.clock = host_.clock,
                                                .power = host_.power,
                                                .fabric = *fabric_,
                                                .pic_output = pic_output,
                                                .serial = host_.serial,
                                                .ports_changed = host_.ports_changed,
                                                .card_removed = host_.card_removed,
                                                .memory = memory_,
                                                .firmware = with_firmware(),
                                                .firmware_log = host_.firmware_log});
  TRY_ASSIGN(plugged_, plug_devices(*board_, host_, spec_.cpus, with_firmware() ? layout::kLpcSlot : 32));
  if (with_firmware()) {
    for (const unsigned disk : spec_.firmware_boot.disks) {
      if (disk >= host_.disks.size()) {
        return fail(ErrorKind::Usage, "there is no disk {} to boot from; there are {}", disk, host_.disks.size());
      }
    }
    firmware::fill(*board_->fw_cfg(), platform(), spec_.firmware_boot,
                   [this] { return board_->ecam_base().value_or(layout::kEcam); });
    board_->rtc().set_byte(dev::rtc::kCpus, static_cast<u8>(spec_.cpus - 1));
  }
  board_->rtc().set_memory_size(layout::end_of_low_memory(spec_.memory, spec_.firmware_size),
                                layout::end_of_memory(spec_.memory, spec_.firmware_size) - layout::kHighMemory);
  vcpus_.reserve(spec_.cpus);
  for (unsigned cpu = 0; cpu < spec_.cpus; ++cpu) {
    TRY_ASSIGN(auto vcpu, host_.make_vcpu({.id = cpu,
                                           .memory = memory_,
                                           .io = *board_,
                                           .clock = host_.clock,
                                           .apic = fabric_->local_apic(cpu),
                                           .paravirt = fabric_->paravirt(cpu),
                                           .cpuid = host_.cpuid(cpu)}));
    vcpus_.push_back(std::move(vcpu));
  }
  return {};
}

std::vector<DeviceStats> PcMachine::device_stats() const {
  std::vector<DeviceStats> stats;
  for (const auto& device : board_->virtio()) {
    virtio::Queue::Counts sum;
    for (const auto& queue : device.counts()) {
      sum.notifications += queue.notifications;
      sum.chains += queue.chains;
      sum.interrupts += queue.interrupts;
    }
    stats.push_back({.name = device.name(),
                     .stats = {.counters = {{"notifications", sum.notifications},
                                            {"buffers", sum.chains},
                                            {"interrupts", sum.interrupts}},
                               .tables = {}}});
  }
  return stats;
}

firmware::Platform PcMachine::platform() const {
  return {.memory = spec_.memory,
          .cpus = spec_.cpus,
          .serial_ports = static_cast<unsigned>(std::min(host_.serial.size(), std::size(layout::kComPorts))),
          .physical_address_bits = physical_address_bits_,
          .rom = spec_.firmware_size};
}

Result<> PcMachine::load_firmware() {
  TRY_ASSIGN(const auto rom, read_file(host_, spec_.firmware, spec_.memory));
  if (rom.bytes.size() != spec_.firmware_size) {
    return fail(ErrorKind::Failed, "'{}' has {} bytes now, and had {} before", spec_.firmware, rom.bytes.size(),
                spec_.firmware_size);
  }
  firmware::load(memory_, rom.bytes);
  return {};
}

Result<vm::x86::CpuState> PcMachine::load_kernel() {
  if (spec_.kernel.empty())
    return fail(ErrorKind::Usage, "there is nothing to boot; name a kernel with --kernel, or firmware with --firmware");
  TRY_ASSIGN(const auto kernel, read_file(host_, spec_.kernel, spec_.memory));
  FileBytes initrd;
  if (!spec_.initrd.empty()) {
    TRY_ASSIGN(initrd, read_file(host_, spec_.initrd, spec_.memory));
    if (initrd.bytes.empty()) return fail(ErrorKind::Usage, "initrd '{}' is empty", spec_.initrd);
  }
  TRY_ASSIGN(const u64 rsdp, firmware::write_tables(memory_, platform()));
  const auto map = layout::memory_map(spec_.memory);
  return boot::load_kernel(memory_, {.kernel = kernel.bytes,
                                     .kernel_name = spec_.kernel,
                                     .initrd = initrd.bytes,
                                     .command_line = spec_.command_line,
                                     .memory_map = map,
                                     .rsdp = rsdp});
}

Result<> PcMachine::boot() {
  if (booted_) memory_.clear();  // the first time nothing was written yet
  booted_ = true;
  auto boot_cpu = vm::x86::reset_state(true, 0);
  if (with_firmware()) {
    TRY(load_firmware());
  } else {
    TRY_ASSIGN(boot_cpu, load_kernel());
  }
  board_->reset();
  if (!with_firmware()) board_->assign_bars();
  fabric_->reset();
  if (with_firmware()) {
    firmware::connect_pic(boot_cpu.apic);
  } else {
    firmware::set_virtual_wire(boot_cpu.apic);
  }
  for (unsigned cpu = 0; cpu < vcpus_.size(); ++cpu) {
    auto state = cpu == 0 ? boot_cpu : vm::x86::reset_state(false, cpu);
    if (!with_firmware()) firmware::set_memory_types(state.sys, physical_address_bits_);
    state.sys.tsc = host_.clock.tsc();
    TRY(vcpus_[cpu]->set_state(state));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Pc>> Pc::create(const Spec& spec, PcHost host) {
  TRY(check(spec));
  // Missing files are told before memory is taken; boot() reads them, each time.
  for (const auto* path : {&spec.kernel, &spec.initrd, &spec.firmware}) {
    if (!path->empty()) TRY(open_file(host, *path));
  }
  TRY_ASSIGN(auto memory, vm::GuestMemory::create(layout::memory_slots(spec.memory, spec.firmware_size),
                                                  host.shared_memory ? vm::GuestMemory::Sharing::Shared
                                                                     : vm::GuestMemory::Sharing::Private));
  auto machine = std::make_unique<PcMachine>(spec, std::move(host), std::move(memory));
  TRY(machine->build());
  return machine;
}

}  // namespace vireo::machine
