#include "vmm/engines.h"

#include <algorithm>

#include "base/bits.h"
#include "cpu/interp/interp.h"
#include "cpu/kvm/cpuid.h"
#include "cpu/translate/translate.h"

namespace vireo::vmm {

Result<EngineChoice> choose_engine(Engine wanted, const cpu::kvm::Support& support) {
  switch (wanted) {
    case Engine::Interpret:
      return EngineChoice{Engine::Interpret, "asked for"};
    case Engine::Translate:
      TRY(cpu::translate::supported());
      return EngineChoice{Engine::Translate, "asked for"};
    case Engine::Kvm:
      if (!support.usable) return fail(support.kind, "{}", support.reason);
      return EngineChoice{Engine::Kvm,
                          support.hardware_backed ? "asked for" : fmt::format("asked for; {}", support.reason)};
    case Engine::Auto:
      break;
  }
  if (support.hardware_backed) return EngineChoice{Engine::Kvm, support.reason};
  if (auto can = cpu::translate::supported(); !can)
    return EngineChoice{Engine::Interpret, fmt::format("{}; {}", support.reason, can.error().message)};
  return EngineChoice{Engine::Translate, support.reason};
}

const char* engine_name(const EngineChoice& choice) {
  return choice.engine == Engine::Kvm ? "kvm" : choice.engine == Engine::Translate ? "translate" : "interpret";
}

void plug_in_interpreter(machine::PcHost& host) {
  host.make_vcpu = [](const vm::VcpuSetup& setup) -> Result<std::unique_ptr<vm::Vcpu>> {
    return cpu::interp::make_interpreter(setup);
  };
}

void plug_in_translator(machine::PcHost& host, const cpu::translate::Options& options) {
  host.make_vcpu = [options](const vm::VcpuSetup& setup) { return cpu::translate::make_translator(setup, options); };
}

void plug_in(Engine engine, machine::PcHost& host, vm::x86::CpuidTable& features,
             const cpu::translate::Options& options) {
  switch (engine) {
    case Engine::Kvm:
      return plug_in_kvm(host, features);
    case Engine::Translate:
      return plug_in_translator(host, options);
    default:
      return plug_in_interpreter(host);
  }
}

u64 code_cache_share(std::optional<u64> wanted, u64 memory, u64 cpus) {
  constexpr u64 kLeast = 16 * kMiB, kMost = 128 * kMiB, kLeastShare = kMiB;
  const u64 all = wanted.value_or(std::clamp(memory / 8, kLeast, kMost));
  return std::max(align_down(all / std::max<u64>(cpus, 1), kPageSize), kLeastShare);
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
