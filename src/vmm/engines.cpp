#include "vmm/engines.h"

#include "cpu/interp/interp.h"

namespace vireo::vmm {

Result<EngineChoice> choose_engine(Engine wanted, const cpu::kvm::Support& support) {
  switch (wanted) {
    case Engine::Interpret:
      return EngineChoice{false, "asked for"};
    case Engine::Kvm:
      if (!support.usable) return fail(support.kind, "{}", support.reason);
      return EngineChoice{true, support.hardware_backed ? "asked for" : fmt::format("asked for; {}", support.reason)};
    case Engine::Auto:
      break;
  }
  return EngineChoice{support.hardware_backed, support.reason};
}

const char* engine_name(const EngineChoice& choice) { return choice.kvm ? "kvm" : "interpret"; }

void plug_in_interpreter(machine::PcHost& host) {
  host.make_vcpu = [](vm::VcpuSetup setup) -> Result<std::unique_ptr<vm::Vcpu>> {
    return cpu::interp::make_interpreter(setup);
  };
}

}  // namespace vireo::vmm
