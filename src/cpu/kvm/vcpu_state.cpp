// The whole state, out of the kernel and back in.
//
// An event that the kernel was about to deliver when it came back is not part of CpuState. It is put back where it came
// from: an interrupt into IRR, an NMI to pending; an exception comes again when its instruction is executed again. Only
// an interrupt of the 8259 cannot go back: CpuState has a place for it.
#include <cpuid.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "cpu/kvm/abi.h"
#include "cpu/kvm/convert.h"
#include "cpu/kvm/cpuid.h"
#include "cpu/kvm/vcpu.h"
#include "vm/x86/msr.h"

namespace vireo::cpu::kvm {

using vm::x86::Activity;
using vm::x86::CpuState;

namespace {

/// Where the host's XSAVE puts its components: KVM_GET_XSAVE follows it, whatever the guest's CPUID says.
x86::XsaveLayout host_xsave_layout() {
  vm::x86::CpuidTable host;
  for (u32 subleaf = 0; subleaf < x86::kXsaveComponents; ++subleaf) {
    vm::x86::CpuidLeaf leaf{.leaf = 0xD, .subleaf = subleaf, .subleaf_matters = true};
    if (__get_cpuid_count(leaf.leaf, leaf.subleaf, &leaf.eax, &leaf.ebx, &leaf.ecx, &leaf.edx) == 0) break;
    host.leaves.push_back(leaf);
  }
  return x86::XsaveLayout::from(host);
}

struct alignas(64) XsaveImage {
  std::array<u8, abi::kXsaveSize> bytes{};
};

}  // namespace

Result<> KvmVcpu::ask(unsigned long request, const void* argument, const char* what) {
  if (::ioctl(fd_.get(), request, argument) != 0) return fail_errno(errno, fmt::format("vCPU {}: {}", id_, what));
  return {};
}

Result<> KvmVcpu::prepare(const vm::x86::CpuidTable& cpuid) {
  void* run = ::mmap(nullptr, machine_.run_size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
  if (run == MAP_FAILED) return fail_errno(errno, "mapping kvm_run");
  run_ = static_cast<kvm_run*>(run);
  TRY(set_cpuid(fd_.get(), cpuid));

  const auto has = [this](int capability) { return ::ioctl(machine_.vm_.get(), KVM_CHECK_EXTENSION, capability) > 0; };
  has_xcrs_ = has(KVM_CAP_XCRS);
  has_sregs2_ = has(KVM_CAP_SREGS2);
  tsc_ = find_tsc_control();

  xsave_layout_ = host_xsave_layout();
  const auto* xsave = machine_.supported_.find(0xD, 0);
  xsave_components_ = vm::x86::xcr0::X87 | vm::x86::xcr0::SSE;
  if (xsave != nullptr) xsave_components_ |= xsave->eax & x86::kFpuComponents;
  msrs_ = readable_msrs();
  return {};
}

std::vector<u32> KvmVcpu::readable_msrs() {
  CpuState any;
  std::vector<u32> readable;
  u64 value = 0;
  for (const auto& msr : msrs_of(any)) {
    if (read_msr(msr.index, value)) readable.push_back(msr.index);
  }
  std::ranges::sort(readable);
  return readable;
}

CpuState KvmVcpu::state() {
  auto state = get(Part::All);
  if (state) return std::move(*state);
  // The kernel has no reason to refuse; if it does, all that can be done is to say so.
  log::error("the state of a vCPU cannot be had: {}", state.error().message);
  return vm::x86::reset_state(id_ == 0, id_);
}

Result<CpuState> KvmVcpu::get(Part part) {
  CpuState state;
  // First: it carries out a pending INIT or SIPI, which changes the rest.
  kvm_mp_state activity{};
  TRY(ask(KVM_GET_MP_STATE, &activity, "KVM_GET_MP_STATE"));
  switch (activity.mp_state) {
    case KVM_MP_STATE_HALTED:
      state.event.activity = Activity::Halted;
      break;
    case KVM_MP_STATE_UNINITIALIZED:
    case KVM_MP_STATE_INIT_RECEIVED:
      state.event.activity = Activity::WaitForSipi;
      break;
    default:
      state.event.activity = Activity::Running;
  }

  kvm_regs regs{};
  TRY(ask(KVM_GET_REGS, &regs, "KVM_GET_REGS"));
  from_kvm(regs, state.regs);
  if (has_sregs2_) {
    kvm_sregs2 sregs{};
    TRY(ask(KVM_GET_SREGS2, &sregs, "KVM_GET_SREGS2"));
    from_kvm(sregs, state);
  } else {
    kvm_sregs sregs{};
    TRY(ask(KVM_GET_SREGS, &sregs, "KVM_GET_SREGS"));
    from_kvm(from_sregs1(sregs), state);
  }
  kvm_debugregs debug{};
  TRY(ask(KVM_GET_DEBUGREGS, &debug, "KVM_GET_DEBUGREGS"));
  from_kvm(debug, state.sys);

  XsaveImage image;
  TRY(ask(abi::GetXsave, image.bytes.data(), "KVM_GET_XSAVE"));
  if (!x86::load_xsave(state.fpu, xsave_layout_, xsave_components_, image.bytes))
    return fail(ErrorKind::Failed, "vCPU {}: KVM gives an XSAVE image that cannot be read", id_);
  if (has_xcrs_) {
    kvm_xcrs xcrs{};
    TRY(ask(KVM_GET_XCRS, &xcrs, "KVM_GET_XCRS"));
    for (u32 i = 0; i < std::min<u32>(xcrs.nr_xcrs, KVM_MAX_XCRS); ++i) {
      if (xcrs.xcrs[i].xcr == 0) state.sys.xcr0 = xcrs.xcrs[i].value;
    }
  }

  kvm_lapic_state page{};
  TRY(ask(KVM_GET_LAPIC, &page, "KVM_GET_LAPIC"));
  from_kvm(page, state.apic);
  if (part == Part::All && parked_timer_ns_) state.apic.timer_remaining_ns = *parked_timer_ns_;
  TRY(get_msrs(state));

  kvm_vcpu_events events{};
  TRY(ask(KVM_GET_VCPU_EVENTS, &events, "KVM_GET_VCPU_EVENTS"));
  state.event.interrupt_shadow = events.interrupt.shadow != 0;
  state.event.nmi_pending = events.nmi.pending != 0 || events.nmi.injected != 0;
  state.event.nmi_blocked = events.nmi.masked != 0 && events.nmi.injected == 0;
  if (part == Part::All && events.interrupt.injected != 0 && events.interrupt.soft == 0 &&
      !unaccept(state.apic, events.interrupt.nr)) {
    state.event.pic_accepted = true;
    state.event.pic_vector = events.interrupt.nr;
    state.event.activity = Activity::Running;
  }

  TRY(learn_tsc_offset());
  state.sys.tsc = clock_.tsc() + own_tsc_offset_;
  return state;
}

Result<> KvmVcpu::get_msrs(CpuState& state) {
  abi::Array<kvm_msr_entry> entries(static_cast<u32>(msrs_.size()));
  for (u32 i = 0; i < entries.count(); ++i) entries[i].index = msrs_[i];
  const int got = ::ioctl(fd_.get(), abi::GetMsrs, entries.data());
  if (got != static_cast<int>(msrs_.size()))
    return fail(ErrorKind::Failed, "vCPU {}: KVM gave {} of {} MSRs", id_, got, msrs_.size());
  for (const auto& msr : msrs_of(state)) {
    for (u32 i = 0; i < entries.count(); ++i) {
      if (entries[i].index == msr.index) *msr.value = entries[i].data;
    }
  }
  return {};
}

Result<> KvmVcpu::set_state(const CpuState& state) {
  CpuState settled = state;
  settle_pv_eoi(settled);
  return put(settled, Part::All);
}

/// The kernel starts with no EOI offered. If the guest was offered one, the offer is withdrawn; if it took it, that is
/// an EOI.
void KvmVcpu::settle_pv_eoi(CpuState& state) {
  constexpr u64 kEnabled = 1;
  if (!state.paravirt.pv_eoi_pending || (state.paravirt.pv_eoi & kEnabled) == 0) return;
  state.paravirt.pv_eoi_pending = false;
  const u64 flag = state.paravirt.pv_eoi & ~u64{3};
  u8 byte = 0;
  if (!memory_.read(flag, &byte, 1)) return;
  if ((byte & 1) == 0) {
    end_of_interrupt(state.apic);
  } else {
    byte &= static_cast<u8>(~1u);
    memory_.write(flag, &byte, 1);
  }
}

Result<> KvmVcpu::put(const CpuState& given, Part part) {
  CpuState state = given;
  const kvm_sregs2 sregs2 = to_kvm(state);
  if (has_sregs2_) {
    TRY(ask(KVM_SET_SREGS2, &sregs2, "KVM does not take the system registers"));
  } else {
    const kvm_sregs sregs = to_sregs1(sregs2);
    TRY(ask(KVM_SET_SREGS, &sregs, "KVM does not take the system registers"));
  }
  const kvm_regs regs = to_kvm(state.regs);
  TRY(ask(KVM_SET_REGS, &regs, "KVM_SET_REGS"));

  if (has_xcrs_) {
    kvm_xcrs xcrs{};
    xcrs.nr_xcrs = 1;
    xcrs.xcrs[0].value = state.sys.xcr0;
    TRY(ask(KVM_SET_XCRS, &xcrs, "KVM does not take XCR0 (vector registers that this host lacks?)"));
  } else if (state.sys.xcr0 != vm::x86::xcr0::X87) {
    return fail(ErrorKind::Failed, "vCPU {}: this host's KVM has no XSAVE, which the guest uses", id_);
  }
  XsaveImage image;
  x86::store_xsave(state.fpu, xsave_layout_, xsave_components_, image.bytes);
  TRY(ask(abi::SetXsave, image.bytes.data(), "KVM_SET_XSAVE"));

  const kvm_debugregs debug = to_kvm_debug(state.sys);
  TRY(ask(KVM_SET_DEBUGREGS, &debug, "KVM_SET_DEBUGREGS"));
  if (part == Part::All) {
    TRY(put_lapic(state.apic));
    TRY(start_tsc(state.sys.tsc));
  }
  TRY(put_msrs(state, part));
  return put_events(state, part);
}

Result<> KvmVcpu::put_lapic(const vm::x86::ApicState& apic) {
  const kvm_lapic_state page = to_kvm(apic, id_);
  parked_timer_ns_.reset();
  if (timer_mode(apic) != TimerMode::TscDeadline) parked_timer_ns_ = apic.timer_remaining_ns;
  return ask(KVM_SET_LAPIC, &page, "KVM does not take the local APIC's registers");
}

Result<> KvmVcpu::put_msrs(CpuState& state, Part part) {
  // A register that this kernel or CPU model does not have may hold what it holds after reset, and nothing else.
  CpuState fresh;
  const auto initial = msrs_of(fresh);
  const auto list = msrs_of(state);
  for (std::size_t i = 0; i < list.size();) {
    abi::Array<kvm_msr_entry> entries(static_cast<u32>(list.size() - i));
    std::vector<std::size_t> which;
    for (; i < list.size(); ++i) {
      if (part == Part::Instruction && !list[i].instruction) continue;
      if (!std::ranges::binary_search(msrs_, list[i].index)) {
        if (part == Part::All && *list[i].value != *initial[i].value) return refused_msr(list[i]);
        continue;
      }
      entries[static_cast<u32>(which.size())] = {.index = list[i].index, .reserved = 0, .data = *list[i].value};
      which.push_back(i);
    }
    entries.set_count(static_cast<u32>(which.size()));
    const int set = ::ioctl(fd_.get(), abi::SetMsrs, entries.data());
    if (set < 0) return fail_errno(errno, fmt::format("vCPU {}: KVM_SET_MSRS", id_));
    if (static_cast<std::size_t>(set) == which.size()) return {};
    const std::size_t bad = which[static_cast<std::size_t>(set)];
    if (*list[bad].value != *initial[bad].value) return refused_msr(list[bad]);
    i = bad + 1;
  }
  return {};
}

std::unexpected<Error> KvmVcpu::refused_msr(const Msr& msr) const {
  return fail(ErrorKind::Failed, "vCPU {}: this host's KVM does not take {:#x} for MSR {:#x}, which the guest uses",
              id_, *msr.value, msr.index);
}

Result<> KvmVcpu::put_events(const CpuState& state, Part part) {
  kvm_vcpu_events events{};
  TRY(ask(KVM_GET_VCPU_EVENTS, &events, "KVM_GET_VCPU_EVENTS"));
  events.exception = {};
  events.exception_has_payload = 0;
  events.exception_payload = 0;
  events.triple_fault.pending = 0;
  events.interrupt.shadow = state.event.interrupt_shadow ? 3 : 0;  // KVM_X86_SHADOW_INT_STI | MOV_SS
  events.nmi.masked = state.event.nmi_blocked;
  events.flags &= KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM | KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
  events.flags |= KVM_VCPUEVENT_VALID_SHADOW;
  if (part == Part::All) {
    events.interrupt.injected = state.event.pic_accepted;
    events.interrupt.nr = state.event.pic_vector;
    events.interrupt.soft = 0;
    events.nmi.injected = 0;
    events.nmi.pending = state.event.nmi_pending;
    events.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING;
  }
  TRY(ask(KVM_SET_VCPU_EVENTS, &events, "KVM_SET_VCPU_EVENTS"));

  if (part == Part::Instruction && state.event.activity != Activity::Halted) return {};
  kvm_mp_state activity{};
  switch (state.event.activity) {
    case Activity::Running:
      activity.mp_state = KVM_MP_STATE_RUNNABLE;
      break;
    case Activity::Halted:
      activity.mp_state = KVM_MP_STATE_HALTED;
      break;
    case Activity::WaitForSipi:
      activity.mp_state = KVM_MP_STATE_INIT_RECEIVED;
      break;
  }
  return ask(KVM_SET_MP_STATE, &activity, "KVM_SET_MP_STATE");
}

Result<> KvmVcpu::read_msr(u32 index, u64& value) {
  abi::Array<kvm_msr_entry> one(1);
  one[0].index = index;
  if (::ioctl(fd_.get(), abi::GetMsrs, one.data()) != 1)
    return fail(ErrorKind::Failed, "vCPU {}: KVM does not tell MSR {:#x}", id_, index);
  value = one[0].data;
  return {};
}

Result<> KvmVcpu::write_msr(u32 index, u64 value) {
  abi::Array<kvm_msr_entry> one(1);
  one[0].index = index;
  one[0].data = value;
  if (::ioctl(fd_.get(), abi::SetMsrs, one.data()) != 1)
    return fail(ErrorKind::Failed, "vCPU {}: KVM does not take MSR {:#x}", id_, index);
  return {};
}

}  // namespace vireo::cpu::kvm
