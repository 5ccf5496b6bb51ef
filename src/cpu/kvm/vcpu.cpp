// The run loop.
//
// Kicks are not lost. A kick sets kicked_, then immediate_exit, then sends a signal. The loop clears immediate_exit,
// then looks at kicked_, then enters the kernel, which looks at immediate_exit and at pending signals before it enters
// the guest. Whatever the order of the two, the kicked_ flag is seen before the guest runs on, or the guest is
// interrupted.
#include "cpu/kvm/vcpu.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/log.h"
#include "host/thread.h"

namespace vireo::cpu::kvm {
namespace {

/// The kick signal must reach this thread while it is in the kernel.
void unblock_kick_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, host::kick_signal());
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace

KvmVcpu::KvmVcpu(KvmVm& machine, const vm::VcpuSetup& setup, FinishInstruction finish, host::Fd fd)
    : machine_(machine),
      id_(setup.id),
      memory_(setup.memory),
      io_(setup.io),
      clock_(setup.clock),
      finish_(std::move(finish)),
      fd_(std::move(fd)) {
  host::install_kick_signal();
}

KvmVcpu::~KvmVcpu() {
  KvmVcpu* self = this;
  machine_.boot_cpu_.compare_exchange_strong(self, nullptr);
  {
    const std::lock_guard lock(machine_.mutex_);
    std::erase(machine_.vcpus_, this);
  }
  if (run_ != nullptr) ::munmap(run_, machine_.run_size_);
}

void KvmVcpu::set_immediate_exit(u8 value) { std::atomic_ref<u8>(run_->immediate_exit).store(value); }

void KvmVcpu::kick() {
  kicked_.store(true);
  poke();
}

void KvmVcpu::poke() {
  set_immediate_exit(1);
  // A thread that is gone, or another that got its number, takes no harm from it.
  if (const pid_t thread = thread_.load()) ::syscall(SYS_tgkill, ::getpid(), thread, host::kick_signal());
}

vm::Exit KvmVcpu::run() {
  unblock_kick_signal();
  thread_.store(static_cast<pid_t>(::syscall(SYS_gettid)));
  follow_clock();
  parked_timer_ns_.reset();
  vm::Exit exit;
  for (bool leaving = false;;) {
    set_immediate_exit(0);
    if (kicked_.exchange(false)) {
      leaving = true;
      ++kicks_;
    }
    if (leaving) {
      // A port or MMIO access that was served is completed when the kernel is entered again; immediate_exit keeps it
      // from going further than that.
      if (!unfinished_) break;
      set_immediate_exit(1);
    } else {
      offer_pic_interrupt();
    }
    unfinished_ = false;
    if (::ioctl(fd_.get(), KVM_RUN, 0) != 0) {
      if (errno == EINTR || errno == EAGAIN) continue;  // a signal; or a CPU that waited for SIPI has got it
      exit = failed(fmt::format("KVM_RUN failed: {}", std::strerror(errno)));
      break;
    }
    if (auto why = serve_exit()) {
      exit = std::move(*why);
      break;
    }
  }
  // The kernel may have the 8259's vector where it does not tell. A CPU that was halted wakes first.
  if (std::exchange(pic_offered_, false)) {
    settle();
    settle();
  }
  park_timer();
  thread_.store(0);
  return exit;
}

std::optional<vm::Exit> KvmVcpu::serve_exit() {
  if (run_->exit_reason < exits_.size()) ++exits_[run_->exit_reason];
  switch (run_->exit_reason) {
    case KVM_EXIT_IO:
      serve_port();
      return {};
    case KVM_EXIT_MMIO:
      serve_mmio();
      return {};
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_INTR:
    case KVM_EXIT_HLT:
      return {};
    case KVM_EXIT_IOAPIC_EOI:
      if (machine_.eoi_) machine_.eoi_(run_->eoi.vector);
      return {};
    case KVM_EXIT_SHUTDOWN:
      return vm::Exit{.reason = vm::ExitReason::TripleFault, .message = {}};
    case KVM_EXIT_FAIL_ENTRY:
      return failed(fmt::format("the host's CPU does not enter the guest (hardware reason {:#x})",
                                u64{run_->fail_entry.hardware_entry_failure_reason}));
    case KVM_EXIT_INTERNAL_ERROR:
      if (run_->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) return finish_instruction();
      return failed(fmt::format("KVM reports an internal error (suberror {})", u32{run_->internal.suberror}));
    default:
      return failed(fmt::format("KVM came back for an unknown reason ({})", u32{run_->exit_reason}));
  }
}

vm::Exit KvmVcpu::failed(std::string_view what) const {
  return {.reason = vm::ExitReason::Failed, .message = fmt::format("vCPU {}: {}", id_, what)};
}

/// The 8259's interrupt goes in at the moment when the guest takes it, so that its vector is not acknowledged too
/// early.
void KvmVcpu::offer_pic_interrupt() {
  if (id_ != 0) return;
  run_->request_interrupt_window = 0;
  if (!io_.pic_pending()) return;
  if (run_->ready_for_interrupt_injection != 0) {
    ++pic_interrupts_;
    kvm_interrupt interrupt{.irq = io_.pic_acknowledge()};
    if (::ioctl(fd_.get(), KVM_INTERRUPT, &interrupt) != 0) {
      static log::Once once;
      if (once.first()) log::warning("KVM lost an interrupt of the 8259 (errno {})", errno);
    }
    pic_offered_ = true;
    run_->ready_for_interrupt_injection = 0;
  }
  run_->request_interrupt_window = io_.pic_pending() ? 1 : 0;
}

/// IN and OUT, and `count` elements of INS and OUTS.
void KvmVcpu::serve_port() {
  const auto& io = run_->io;
  u8* data = reinterpret_cast<u8*>(run_) + io.data_offset;
  for (u32 i = 0; i < io.count; ++i, data += io.size) {
    u32 value = 0;
    if (io.direction == KVM_EXIT_IO_OUT) {
      std::memcpy(&value, data, io.size);
      io_.port_write(io.port, io.size, value);
    } else {
      value = io_.port_read(io.port, io.size);
      std::memcpy(data, &value, io.size);
    }
  }
  unfinished_ = true;
}

void KvmVcpu::serve_mmio() {
  auto& mmio = run_->mmio;
  const auto size = static_cast<u8>(std::min<u32>(mmio.len, 8));
  u64 value = 0;
  if (mmio.is_write != 0) {
    std::memcpy(&value, mmio.data, size);
    io_.mmio_write(mmio.phys_addr, size, value);
  } else {
    value = io_.mmio_read(mmio.phys_addr, size);
    std::memcpy(mmio.data, &value, size);
  }
  unfinished_ = true;
}

std::optional<vm::Exit> KvmVcpu::finish_instruction() {
  const auto& failure = run_->emulation_failure;
  std::array<u8, 15> bytes{};
  unsigned size = 0;
  if (failure.ndata >= 3 && (failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) != 0) {
    size = std::min<unsigned>(failure.insn_size, bytes.size());
    std::memcpy(bytes.data(), failure.insn_bytes, size);
  }
  auto state = get(Part::Instruction);
  if (!state) return failed(state.error().message);
  if (!finish_) {
    std::string hex;
    for (unsigned i = 0; i < size; ++i) hex += fmt::format(" {:02x}", bytes[i]);
    return failed(fmt::format("KVM cannot emulate the instruction at {:#x}:{}", state->regs.rip, hex));
  }
  machine_.log_hand_over(*state, bytes.data(), size);
  ++finished_;
  auto exit = finish_(*state);
  if (auto done = put(*state, Part::Instruction); !done) return failed(done.error().message);
  if (exit.reason != vm::ExitReason::Kicked) return exit;
  return {};
}

/// What the kernel did without an exit, it counts for itself.
vm::Stats KvmVcpu::stats() {
  constexpr std::pair<u32, const char*> kNames[] = {
      {KVM_EXIT_MMIO, "mmio"},
      {KVM_EXIT_IO, "port"},
      {KVM_EXIT_HLT, "halt"},
      {KVM_EXIT_INTR, "signal"},
      {KVM_EXIT_IRQ_WINDOW_OPEN, "interrupt_window"},
      {KVM_EXIT_IOAPIC_EOI, "ioapic_eoi"},
      {KVM_EXIT_SHUTDOWN, "shutdown"},
      {KVM_EXIT_INTERNAL_ERROR, "internal_error"},
  };
  vm::Stats::Table exits{.name = "exits", .rows = {}};
  for (const auto& [reason, name] : kNames) exits.rows.push_back({name, exits_[reason]});
  exits.rows.push_back({"kick", kicks_});
  return {.counters = {{"pic_interrupts", pic_interrupts_}, {"finished_instructions", finished_}},
          .tables = {std::move(exits)}};
}

}  // namespace vireo::cpu::kvm
