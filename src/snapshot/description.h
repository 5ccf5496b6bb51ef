// What a state file says about the machine in it, so that the same machine can be built again before anything is
// loaded.
#pragma once

#include <string>
#include <vector>

#include "vm/memory/memory.h"
#include "vm/state/archive.h"

namespace vireo::snapshot {

struct MemorySlot {
  u64 gpa = 0, size = 0, offset = 0;
  bool operator==(const MemorySlot&) const = default;
};

/// A leaf of what CPUID told the first vCPU.
struct CpuidEntry {
  u32 leaf = 0, subleaf = 0;
  bool subleaf_matters = false;
  u32 eax = 0, ebx = 0, ecx = 0, edx = 0;
};

struct MachineDescription {
  std::string program;    ///< version that wrote the file; for people
  std::string name;       ///< of the virtual machine
  std::string machine;    ///< kind, such as "pc"
  std::string engine;     ///< that ran it; for people
  std::string cpu_model;  ///< name of the CPUID table
  std::string append;     ///< kernel command line, for a guest reboot
  u64 tsc_khz = 0;
  u32 cpus = 0;
  u64 memory = 0;  ///< bytes the machine was asked to have; the slots say what of it is RAM
  std::vector<MemorySlot> slots;
  std::vector<CpuidEntry> cpuid;
  static constexpr u16 kVersion = 1;
};

void fields(vm::Archive& ar, MemorySlot& s);
void fields(vm::Archive& ar, CpuidEntry& e);
void fields(vm::Archive& ar, MachineDescription& d);

/// Bytes of RAM, all slots together.
u64 ram_size(const MachineDescription& description);
std::vector<MemorySlot> slots_of(const vm::GuestMemory& memory);

/// Makes sense in itself: slots add up, counts in range, names printable.
Result<> check(const MachineDescription& description);

}  // namespace vireo::snapshot
