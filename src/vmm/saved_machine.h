// The machine in a state file: opened and checked as a whole first, loaded into a machine that was built like it
// afterwards.
#pragma once

#include <string>

#include "cpu/x86/cpu_models.h"
#include "machine/pc/pc.h"
#include "snapshot/contents.h"
#include "snapshot/file.h"
#include "vm/clock/vm_clock.h"

namespace vireo::vmm {

/// The name of the only kind of machine there is, in state files.
constexpr const char* kMachineKind = "pc";

class SavedMachine {
 public:
  static Result<SavedMachine> open(const std::string& path);

  const snapshot::MachineDescription& description() const { return contents_.machine; }
  /// How many network interfaces it has.
  std::size_t nics() const;
  /// The model its CPUs are of. Errors of kind Usage: `wanted` is another one (empty is none), or this host cannot run
  /// it.
  Result<cpu::x86::CpuModel> cpu_model(const std::string& wanted) const;
  /// `pc` was built from the description and never run; `clock` stands still. After an error neither may be used.
  /// `cards` adds the devices in the ports; `features` is what the CPUs of its engine have.
  Result<> load_into(machine::Pc& pc, vm::VmClock& clock, vm::Stateful& cards, const vm::x86::CpuidTable& features);
  /// The open file once more, for the boot files in it.
  host::Fd share_file() const { return file_.duplicate(); }

 private:
  Result<> load_states(machine::Pc& pc, vm::VmClock& clock, vm::Stateful& cards, const vm::x86::CpuidTable& features);
  vm::x86::CpuidTable cpuid() const;
  Error name_file(Error error) const;

  std::string path_;
  host::Fd file_;
  snapshot::Contents contents_;
};

/// Everything about a stopped machine but its memory, and what devices are in its ports.
snapshot::Contents contents_of(machine::Pc& pc, const vm::VmClock& clock, const std::string& engine,
                               const std::string& cpu_model, const vm::x86::CpuidTable& features);

}  // namespace vireo::vmm
