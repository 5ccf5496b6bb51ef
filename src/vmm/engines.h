// Which engine runs the vCPUs, and how it is plugged into the machine.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cpu/kvm/kvm.h"
#include "cpu/translate/translate.h"
#include "machine/pc/pc.h"
#include "vmm/config.h"

namespace vireo::vmm {

struct EngineChoice {
  Engine engine = Engine::Interpret;  ///< never Auto
  std::string why;                    ///< for people, no full stop
};

/// Auto takes KVM only with hardware behind it, and else the translator where the host can run it. Errors: those of the
/// KVM device or the translator when they were asked for by name.
Result<EngineChoice> choose_engine(Engine wanted, const cpu::kvm::Support& support);
const char* engine_name(const EngineChoice& choice);

/// Fills in make_vcpu, and with KVM make_fabric, which owns the VM in the kernel. `features` outlives the host; KVM
/// takes away from it what it does not offer, when the machine is built.
void plug_in_interpreter(machine::PcHost& host);
void plug_in_translator(machine::PcHost& host, const cpu::translate::Options& options);
/// Whichever was chosen; `options` are each vCPU's.
void plug_in(Engine engine, machine::PcHost& host, vm::x86::CpuidTable& features,
             const cpu::translate::Options& options);
/// Each vCPU's part of what was asked for, or of what suits `memory` bytes of RAM.
u64 code_cache_share(std::optional<u64> wanted, u64 memory, u64 cpus);
void plug_in_kvm(machine::PcHost& host, vm::x86::CpuidTable& features);

/// What a guest that was told `saved` misses where `offered` is what CPUs have: "7.0.ebx:00000020", a mask for each
/// register of CPUID; empty when nothing is missing.
std::string missing_features(const vm::x86::CpuidTable& saved, const vm::x86::CpuidTable& offered);

}  // namespace vireo::vmm
