// What every software engine does between stretches of guest code: events, faults, sleep, single steps, the whole
// state. An engine adds how code is run: run_code().
//
//   run(): attend (signals, interrupts) -> wait (HLT, INIT) | run_one (careful) | run_code (until something wants
//   attention)
//
// A fault anywhere below leaves by longjmp through Cpu::raise and lands in run(), which delivers it.
#pragma once

#include <atomic>
#include <optional>
#include <vector>

#include "cpu/interp/cpu.h"
#include "vm/engine/engine.h"

namespace vireo::cpu::interp {

/// Classes of SDM 3A table 6-4: which second fault makes a double fault.
enum class FaultClass : u8 { Benign, Contributory, PageFault, DoubleFault };

class RunLoop : public vm::Vcpu {
 public:
  explicit RunLoop(const vm::VcpuSetup& setup);

  unsigned id() const override { return cpu_.id; }
  vm::Exit run() override;
  /// One instruction from where the vCPU stands, delivering a fault it raises, without looking for interrupts.
  vm::Exit step();
  void kick() override;
  /// What is counted here; engines add their own.
  vm::Stats stats() override;
  vm::x86::CpuState state() override;
  Result<> set_state(const vm::x86::CpuState& state) override;

 protected:
  /// Runs guest code until Cpu::attention is set, the CPU halts or it becomes careful; leaves it at an instruction
  /// boundary.
  virtual void run_code() = 0;
  /// Decoded instructions that refer to host-execution stubs must go, now.
  virtual void drop_decoded() = 0;

  // What run() and step() call must not become part of them: GCC 12 drops branches (-ftree-dce) of a loop that is in
  // one function with _setjmp.
  [[gnu::noinline]] void run_one();  ///< exactly one instruction, with debug and shadow rules
  /// Fetch, decode, execute one; counted in `by_mnemonic`, an element each ZydisMnemonic, if there is one.
  void execute_at_rip(std::vector<u64>* by_mnemonic = nullptr);
  void flush_if_wanted();
  /// After instructions: HLT was among them, and the CPU is halted now.
  bool take_halt();

  Cpu cpu_;

 private:
  void wake();
  [[gnu::noinline]] vm::Exit loop();
  bool attend();  ///< events; false: return to the caller, kicked
  void take_interrupt();
  void wait();
  [[gnu::noinline]] void deliver_fault();
  void deliver_event(u8 vector, EventKind kind);
  void start_up(const vm::LocalApic::Signals& signals);

  std::atomic<bool> kicked_{false};
  /// The class of the event being delivered, for double faults; empty when none is.
  std::optional<FaultClass> delivering_;
  unsigned failed_deliveries_ = 0;  ///< in a row
  Insn single_;                     ///< the instruction run outside any block
};

}  // namespace vireo::cpu::interp
