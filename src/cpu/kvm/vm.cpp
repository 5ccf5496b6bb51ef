#include <sys/ioctl.h>

#include <bit>
#include <cerrno>

#include "base/log.h"
#include "cpu/kvm/abi.h"
#include "cpu/kvm/cpuid.h"
#include "cpu/kvm/host.h"
#include "cpu/kvm/kvm.h"
#include "cpu/kvm/vcpu.h"

namespace vireo::cpu::kvm {
namespace {

// Three pages and one that VMX without "unrestricted guest" needs somewhere in the guest's addresses: below the
// firmware's place, above every device.
constexpr u64 kIdentityMap = 0xFFFBC000;
constexpr unsigned long kTss = 0xFFFBD000;

}  // namespace

Result<std::unique_ptr<KvmVm>> KvmVm::create(vm::GuestMemory& memory, const char* device) {
  std::unique_ptr<KvmVm> kvm(new KvmVm(memory));
  TRY(kvm->open(device));
  TRY(kvm->place_memory());
  return kvm;
}

KvmVm::~KvmVm() = default;

Result<> KvmVm::open(const char* device) {
  TRY_ASSIGN(device_, open_device(device));
  int fd = -1;
  do fd = ::ioctl(device_.get(), KVM_CREATE_VM, 0);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return fail_errno(errno, "KVM makes no virtual machine");
  vm_ = host::Fd(fd);

  const int size = ::ioctl(device_.get(), KVM_GET_VCPU_MMAP_SIZE, 0);
  if (size < static_cast<int>(sizeof(kvm_run)))
    return fail(ErrorKind::Failed, "KVM has a strange kvm_run of {} bytes", size);
  run_size_ = static_cast<std::size_t>(size);
  TRY_ASSIGN(supported_, supported_cpuid(device_.get()));

  u64 identity_map = kIdentityMap;
  if (::ioctl(device_.get(), KVM_CHECK_EXTENSION, KVM_CAP_SET_IDENTITY_MAP_ADDR) > 0 &&
      ::ioctl(vm_.get(), KVM_SET_IDENTITY_MAP_ADDR, &identity_map) != 0)
    return fail_errno(errno, "KVM_SET_IDENTITY_MAP_ADDR");
  if (::ioctl(device_.get(), KVM_CHECK_EXTENSION, KVM_CAP_SET_TSS_ADDR) > 0 &&
      ::ioctl(vm_.get(), KVM_SET_TSS_ADDR, kTss) != 0)
    return fail_errno(errno, "KVM_SET_TSS_ADDR");

  kvm_enable_cap split{};
  split.cap = KVM_CAP_SPLIT_IRQCHIP;
  split.args[0] = kIoapicPins;
  if (::ioctl(vm_.get(), KVM_ENABLE_CAP, &split) != 0)
    return fail_errno(errno, "KVM has no local APICs for an IOAPIC of ours");

  // Without it an instruction that cannot be emulated becomes #UD in the guest.
  kvm_enable_cap report{};
  report.cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE;
  report.args[0] = 1;
  if (::ioctl(vm_.get(), KVM_CHECK_EXTENSION, KVM_CAP_EXIT_ON_EMULATION_FAILURE) > 0 &&
      ::ioctl(vm_.get(), KVM_ENABLE_CAP, &report) != 0)
    return fail_errno(errno, "KVM_CAP_EXIT_ON_EMULATION_FAILURE");
  return {};
}

Result<> KvmVm::place_memory() {
  u32 number = 0;
  for (const auto& slot : memory_.slots()) {
    kvm_userspace_memory_region region{};
    region.slot = number++;
    region.guest_phys_addr = slot.gpa;
    region.memory_size = slot.size;
    region.userspace_addr = std::bit_cast<u64>(memory_.base() + slot.offset);
    if (::ioctl(vm_.get(), KVM_SET_USER_MEMORY_REGION, &region) != 0)
      return fail_errno(errno, fmt::format("KVM does not take {} MiB of memory at {:#x}", slot.size / kMiB, slot.gpa));
  }
  return {};
}

Result<std::unique_ptr<vm::Vcpu>> KvmVm::make_vcpu(const vm::VcpuSetup& setup, FinishInstruction finish) {
  const int most = ::ioctl(vm_.get(), KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
  if (most > 0 && setup.id >= static_cast<unsigned>(most))
    return fail(ErrorKind::Usage, "KVM on this host runs at most {} CPUs", most);
  const int fd = ::ioctl(vm_.get(), KVM_CREATE_VCPU, static_cast<unsigned long>(setup.id));
  if (fd < 0) return fail_errno(errno, fmt::format("KVM makes no vCPU {}", setup.id));
  auto vcpu = std::make_unique<KvmVcpu>(*this, setup, std::move(finish), host::Fd(fd));
  TRY(vcpu->prepare(offered(setup.cpuid)));
  if (setup.id == 0) boot_cpu_ = vcpu.get();
  const std::lock_guard lock(mutex_);
  vcpus_.push_back(vcpu.get());
  return vcpu;
}

vm::x86::CpuidTable KvmVm::offered(const vm::x86::CpuidTable& wanted) const { return intersect(wanted, supported_); }

void KvmVm::send(const vm::MsiMessage& message) {
  kvm_msi msi{};
  msi.address_lo = static_cast<u32>(message.address);
  msi.address_hi = static_cast<u32>(message.address >> 32);
  msi.data = message.data;
  // 0 means blocked by the guest; an error, that no APIC has that id: both are the guest's affair.
  const std::shared_lock lock(interrupts_);
  ::ioctl(vm_.get(), KVM_SIGNAL_MSI, &msi);
}

void KvmVm::pic_output(bool level) {
  if (!level) return;
  if (KvmVcpu* boot = boot_cpu_.load()) boot->poke();
}

void KvmVm::ioapic_route(unsigned pin, bool masked, bool level_triggered, const vm::MsiMessage& message) {
  // A masked pin keeps its route: the interrupt it sent before may still be in service, and its end must be reported.
  if (pin >= kIoapicPins || masked) return;
  const std::lock_guard lock(mutex_);
  if (routed_[pin] && routed_level_[pin] == level_triggered && routes_[pin].address == message.address &&
      routes_[pin].data == message.data)
    return;
  routes_[pin] = message;
  routed_[pin] = true;
  routed_level_[pin] = level_triggered;
  constexpr u32 kLevel = 1 << 15;  // of MSI data (SDM 3A 11.11.2)
  abi::Array<kvm_irq_routing_entry> routing(kIoapicPins);
  u32 count = 0;
  for (u32 i = 0; i < kIoapicPins; ++i) {
    if (!routed_[i]) continue;
    auto& entry = routing[count++];
    entry.gsi = i;
    entry.type = KVM_IRQ_ROUTING_MSI;
    entry.u.msi.address_lo = static_cast<u32>(routes_[i].address);
    entry.u.msi.address_hi = static_cast<u32>(routes_[i].address >> 32);
    entry.u.msi.data = (routes_[i].data & ~kLevel) | (routed_level_[i] ? kLevel : 0);
  }
  routing.set_count(count);
  if (::ioctl(vm_.get(), abi::SetGsiRouting, routing.data()) != 0) {
    static log::Once once;
    if (once.first())
      log::error("KVM does not take the IOAPIC's routes (errno {}); level-triggered interrupts will not end", errno);
  }
}

void KvmVm::follow(const vm::Clock& clock) {
  const auto scale = clock.tsc_scale();
  const std::lock_guard lock(mutex_);
  if (scale.host_base == clock_scale_.host_base && scale.guest_base == clock_scale_.guest_base &&
      scale.scale == clock_scale_.scale)
    return;
  clock_scale_ = scale;
  kvm_clock_data data{};
  data.clock = clock.now_ns();
  if (::ioctl(vm_.get(), KVM_SET_CLOCK, &data) != 0) {
    static log::Once once;
    if (once.first()) log::error("KVM does not take the guest's time (errno {}); kvmclock will jump", errno);
  }
  const std::unique_lock quiet(interrupts_);
  for (auto* vcpu : vcpus_) vcpu->rearm_timer();
}

void KvmVm::log_hand_over(const vm::x86::CpuState& state, const u8* bytes, unsigned size) {
  // The first, the second, the fourth, ... : a guest can do this as often as it likes.
  const u64 count = handed_over_.fetch_add(1, std::memory_order_relaxed) + 1;
  if (!std::has_single_bit(count)) return;
  std::string hex;
  for (unsigned i = 0; i < size; ++i) hex += fmt::format("{:02x} ", bytes[i]);
  log::info("KVM cannot emulate the instruction at {:#x} ({}): the interpreter executes it ({} so far)", state.regs.rip,
            hex.empty() ? "bytes unknown" : hex.substr(0, hex.size() - 1), count);
}

}  // namespace vireo::cpu::kvm
