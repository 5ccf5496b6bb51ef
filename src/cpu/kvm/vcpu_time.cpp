// Time: the guest's counter and the local APIC's timer, held to the VM's clock.
//
// Where this text says "own", it means the guest's TSC minus the VM clock's: 0 unless the guest set its counter.
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cerrno>

#include "base/log.h"
#include "cpu/kvm/abi.h"
#include "cpu/kvm/convert.h"
#include "cpu/kvm/vcpu.h"
#include "host/thread.h"
#include "host/tsc.h"
#include "vm/x86/msr.h"

namespace vireo::cpu::kvm {
namespace {

constexpr u64 kUnscaled = u64{1} << 32;

u64 clock_offset(const vm::TscScale& scale) { return scale.guest_base - scale.host_base; }

}  // namespace

KvmVcpu::TscControl KvmVcpu::find_tsc_control() {
  if (::ioctl(machine_.vm_.get(), KVM_CHECK_EXTENSION, KVM_CAP_VCPU_ATTRIBUTES) > 0 && tsc_offset_works())
    return TscControl::Offset;
  return tsc_can_be_written() ? TscControl::Value : TscControl::None;
}

/// The guest's counter is `tsc` now.
Result<> KvmVcpu::start_tsc(u64 tsc) {
  own_tsc_offset_ = tsc - clock_.tsc();
  tsc_scale_ = clock_.tsc_scale();
  return set_tsc();
}

/// The guest may have moved its counter itself (TSC, TSC_ADJUST). At another frequency than the host's that cannot be
/// told from the counter's own motion, and what was set last counts.
Result<> KvmVcpu::learn_tsc_offset() {
  if (tsc_scale_.scale != kUnscaled || tsc_scale_.host_base == kNeverSet) return {};
  u64 offset = 0;  // None: the guest has the host's counter
  if (tsc_ == TscControl::Offset) {
    TRY(tsc_offset_attribute(KVM_GET_DEVICE_ATTR, offset));
  } else if (tsc_ == TscControl::Value) {
    TRY(read_msr(vm::x86::msr::IA32_TSC, offset));
    offset -= host::read_tsc();
  }
  const u64 own = offset - clock_offset(tsc_scale_);
  // Two counters are never read at once: a difference below a millisecond is no change.
  const u64 tolerance = tsc_ == TscControl::Value ? clock_.tsc_khz() : 0;
  if (own - own_tsc_offset_ + tolerance > 2 * tolerance) own_tsc_offset_ = own;
  return {};
}

/// The kernel's offset or its counter, for the clock's scale of now.
Result<> KvmVcpu::set_tsc() {
  const u64 offset = clock_offset(tsc_scale_) + own_tsc_offset_;
  const bool unscaled = tsc_scale_.scale == kUnscaled;
  if (tsc_ == TscControl::None) return {};
  if (tsc_ == TscControl::Offset && unscaled) {
    u64 value = offset;
    return tsc_offset_attribute(KVM_SET_DEVICE_ATTR, value);
  }
  if (!unscaled && ::ioctl(fd_.get(), KVM_SET_TSC_KHZ, static_cast<unsigned long>(clock_.tsc_khz())) != 0) {
    static log::Once once;
    if (once.first())
      log::warning(
          "the guest was started with a TSC of {} kHz, which this host cannot give it: its clock will run wrong",
          clock_.tsc_khz());
  }
  return write_msr(vm::x86::msr::IA32_TSC, unscaled ? host::read_tsc() + offset : clock_.tsc() + own_tsc_offset_);
}

Result<> KvmVcpu::tsc_offset_attribute(unsigned long request, u64& offset) {
  kvm_device_attr attribute{
      .flags = 0, .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = std::bit_cast<u64>(&offset)};
  return ask(request, &attribute, "KVM_VCPU_TSC_OFFSET");
}

/// There are kernels that claim to have the attribute, take it and do nothing.
bool KvmVcpu::tsc_offset_works() {
  u64 asked = u64{1} << 40, got = 0;
  return tsc_offset_attribute(KVM_HAS_DEVICE_ATTR, got) && tsc_offset_attribute(KVM_SET_DEVICE_ATTR, asked) &&
         tsc_offset_attribute(KVM_GET_DEVICE_ATTR, got) && got == asked;
}

/// And kernels that ignore what is written to the counter: their guests see the host's.
bool KvmVcpu::tsc_can_be_written() {
  const u64 wanted = host::read_tsc() + (u64{1} << 40);
  u64 value = 0;
  return write_msr(vm::x86::msr::IA32_TSC, wanted) && read_msr(vm::x86::msr::IA32_TSC, value) && value >= wanted;
}

/// After the clock was stopped and went on: kvmclock, once a VM, and this vCPU's TSC.
void KvmVcpu::follow_clock() {
  machine_.follow(clock_);
  const auto scale = clock_.tsc_scale();
  if (scale.host_base == tsc_scale_.host_base && scale.guest_base == tsc_scale_.guest_base &&
      scale.scale == tsc_scale_.scale)
    return;
  auto done = learn_tsc_offset();
  tsc_scale_ = scale;
  if (done) done = set_tsc();
  if (!done) {
    static log::Once once;
    if (once.first()) log::error("{}", done.error().message);
  }
  // The kernel's timer was set for the counter as it was.
  u64 deadline = 0;
  if (read_msr(vm::x86::msr::IA32_TSC_DEADLINE, deadline) && deadline != 0)
    (void)write_msr(vm::x86::msr::IA32_TSC_DEADLINE, deadline);
}

/// The kernel's timer went on while the clock stood, and may have run out. The vCPU is not in run(), and nobody sends
/// it an interrupt meanwhile: it would be lost.
void KvmVcpu::rearm_timer() {
  if (parked_timer_ns_.value_or(0) == 0) return;
  kvm_lapic_state page{};
  if (::ioctl(fd_.get(), KVM_GET_LAPIC, &page) != 0) return;
  vm::x86::ApicState apic;
  from_kvm(page, apic);
  if (timer_mode(apic) == TimerMode::TscDeadline) return;
  apic.timer_remaining_ns = *parked_timer_ns_;
  page = to_kvm(apic, id_);
  if (::ioctl(fd_.get(), KVM_SET_LAPIC, &page) != 0) {
    static log::Once once;
    if (once.first()) log::error("KVM does not take the rest of a timer (errno {}); it fires early", errno);
  }
}

/// Notes how much is left of a one-shot or periodic timer.
void KvmVcpu::park_timer() {
  const auto look = [this] {
    kvm_lapic_state page{};
    vm::x86::ApicState apic;
    if (::ioctl(fd_.get(), KVM_GET_LAPIC, &page) == 0) from_kvm(page, apic);
    return apic;
  };
  constexpr unsigned kInitialCount = 0x38;
  auto apic = look();
  if (timer_mode(apic) == TimerMode::TscDeadline || apic.regs[kInitialCount] == 0) return;
  // A count of zero does not tell whether the interrupt is in IRR already. Once it is settled, it does.
  if (apic.timer_remaining_ns == 0 || timer_mode(apic) == TimerMode::Periodic) {
    settle();
    if (timer_mode(apic) == TimerMode::Periodic) apic = look();
  }
  parked_timer_ns_ = apic.timer_remaining_ns;
}

/// The kernel puts the interrupt of an expired timer into IRR, and the 8259's vector among the events it tells, on its
/// way to the guest. This takes that way without running the guest: by a signal that is pending already when the kernel
/// is entered.
void KvmVcpu::settle() {
  sigset_t kick, before;
  sigemptyset(&kick);
  sigaddset(&kick, host::kick_signal());
  if (pthread_sigmask(SIG_BLOCK, &kick, &before) != 0) return;
  abi::SignalMask during;
  for (unsigned signal = 1; signal <= 64; ++signal) {
    if (static_cast<int>(signal) != host::kick_signal() && sigismember(&before, static_cast<int>(signal)) == 1)
      during.signals[(signal - 1) / 32] |= 1u << ((signal - 1) % 32);
  }
  ::syscall(SYS_tgkill, ::getpid(), ::syscall(SYS_gettid), host::kick_signal());
  if (::ioctl(fd_.get(), abi::SetSignalMask, &during) == 0) {
    set_immediate_exit(0);
    ::ioctl(fd_.get(), KVM_RUN, 0);  // EINTR
    ::ioctl(fd_.get(), abi::SetSignalMask, nullptr);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);  // and the signal is delivered
}

}  // namespace vireo::cpu::kvm
