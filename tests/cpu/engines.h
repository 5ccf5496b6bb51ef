// The engines the cases run on, each with what it needs around a TinyMachine.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cpu/translate/translate.h"
#include "support/tiny_machine.h"

namespace vireo::test {

/// The vCPUs of one machine, in their start states, and whatever must live as long as they do. Lives shorter than the
/// machine.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::vector<vm::Vcpu*> vcpus() = 0;
  /// The machine's interrupts go to this engine from now on.
  virtual void connect(TinyMachine& machine) = 0;
};

/// Error NotFound or Denied: this host lacks the engine.
/// With `limit` the guest is told no features that are not in it.
Result<std::unique_ptr<Engine>> make_interpret_engine(TinyMachine& machine, unsigned cpus,
                                                      const vm::x86::CpuidTable* limit = nullptr);
/// The same vCPUs by the translator.
Result<std::unique_ptr<Engine>> make_translate_engine(TinyMachine& machine, unsigned cpus,
                                                      const cpu::translate::Options& options);
/// Instructions that KVM cannot emulate are executed by an interpreter.
Result<std::unique_ptr<Engine>> make_kvm_engine(TinyMachine& machine, unsigned cpus);

/// The interpreter and KVM in turn, or the interpreter and the translator.
Result<std::unique_ptr<Engine>> make_move_engine(TinyMachine& machine, unsigned cpus);
Result<std::unique_ptr<Engine>> make_move_translate_engine(TinyMachine& machine, unsigned cpus,
                                                           const cpu::translate::Options& options);

}  // namespace vireo::test
