#include "vmm/engines.h"

#include "cpu/interp/interp.h"
#include "cpu/kvm/cpuid.h"

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
  host.make_vcpu = [](const vm::VcpuSetup& setup) -> Result<std::unique_ptr<vm::Vcpu>> {
    return cpu::interp::make_interpreter(setup);
  };
}

std::string missing_features(const vm::x86::CpuidTable& saved, const vm::x86::CpuidTable& offered) {
  const auto common = cpu::kvm::intersect(saved, offered);
  std::string missing;
  for (const auto& leaf : saved.leaves) {
    const auto* left = common.find(leaf.leaf, leaf.subleaf);
    const auto compare = [&](const char* name, u32 had, u32 has) {
      if ((had & ~has) == 0) return;
      missing +=
          fmt::format("{}{:x}.{}.{}:{:08x}", missing.empty() ? "" : " ", leaf.leaf, leaf.subleaf, name, had & ~has);
    };
    if (left == nullptr) continue;  // an XSAVE component, which leaf 0xD has said already
    compare("eax", leaf.eax, left->eax);
    compare("ebx", leaf.ebx, left->ebx);
    compare("ecx", leaf.ecx, left->ecx);
    compare("edx", leaf.edx, left->edx);
  }
  return missing;
}

}  // namespace vireo::vmm
