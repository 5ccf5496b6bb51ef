#include "snapshot/description.h"

#include <algorithm>

#include "base/bits.h"

namespace vireo::snapshot {
namespace {

bool printable(const std::string& text, std::size_t limit) {
  return text.size() <= limit && std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

}  // namespace

void fields(vm::Archive& ar, MemorySlot& s) {
  auto& [gpa, size, offset] = s;
  ar(gpa, size, offset);
}

void fields(vm::Archive& ar, CpuidEntry& e) {
  auto& [leaf, subleaf, subleaf_matters, eax, ebx, ecx, edx] = e;
  ar(leaf, subleaf, subleaf_matters, eax, ebx, ecx, edx);
}

void fields(vm::Archive& ar, MachineDescription& d) {
  auto& [program, name, machine, engine, cpu_model, append, tsc_khz, cpus, memory, slots, cpuid] = d;
  ar(program, name, machine, engine, cpu_model, append, tsc_khz, cpus, memory, slots, cpuid);
}

u64 ram_size(const MachineDescription& description) {
  return description.slots.empty() ? 0 : description.slots.back().offset + description.slots.back().size;
}

std::vector<MemorySlot> slots_of(const vm::GuestMemory& memory) {
  std::vector<MemorySlot> slots;
  for (const auto& slot : memory.slots()) slots.push_back({slot.gpa, slot.size, slot.offset});
  return slots;
}

Result<> check(const MachineDescription& d) {
  constexpr std::size_t kNameLimit = 256, kSlotLimit = 64, kCpuidLimit = 256;
  bool good = d.cpus >= 1 && d.cpus <= 4096 && d.tsc_khz >= 1000 && d.tsc_khz <= 100'000'000 &&
              d.slots.size() <= kSlotLimit && d.cpuid.size() <= kCpuidLimit;
  for (const auto* name : {&d.program, &d.name, &d.machine, &d.engine, &d.cpu_model})
    good = good && printable(*name, kNameLimit);
  good = good && d.append.size() <= kPageSize && d.append.find('\0') == std::string::npos;
  u64 size = 0, end = 0;
  constexpr u64 kRomLimit = 16 * kMiB;
  u64 rom = 0;  // of firmware, right below 4 GiB: not counted as memory
  for (const auto& slot : d.slots) {
    good = good && slot.size != 0 && ((slot.gpa | slot.size) & kPageMask) == 0 && slot.gpa >= end &&
           slot.offset == size && slot.size <= ~u64{0} - slot.gpa && slot.size <= ~u64{0} - size;
    if (!good) break;
    end = slot.gpa + slot.size;
    size += slot.size;
    if (end == 4 * kGiB && slot.size <= kRomLimit) rom = slot.size;
  }
  size -= rom;
  if (!good || size == 0 || size > d.memory)
    return fail(ErrorKind::Usage, "its description of the machine makes no sense");
  return {};
}

}  // namespace vireo::snapshot
