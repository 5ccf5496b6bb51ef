// FXSAVE, FXRSTOR and the XSAVE family on guest memory (SDM 1 10.5 and 13.7 to 13.12).
#include "cpu/interp/fpu_state.h"

namespace vireo::cpu::interp {

using namespace vm::x86;
using x86::PointerFormat;

namespace {

constexpr unsigned kMxcsrOffset = 24;
constexpr unsigned kXmmOffset = 160;
constexpr unsigned kHeader = x86::kXsaveHeaderOffset;

PointerFormat pointers(const Insn& insn) { return insn.imm == 8 ? PointerFormat::Offset64 : PointerFormat::Selector32; }

/// The legacy region. FOP, FIP and FDP are there for a pending exception only, as on AMD's processors (APM 2 11.4.4).
void store_legacy(const Cpu& cpu, const Insn& insn, u8* image) {
  x86::store_fxsave(cpu.fpu, pointers(insn), image);
  if (x87_pending(cpu.fpu)) return;
  std::memset(image + 6, 0, 2);
  std::memset(image + 8, 0, 16);
}

/// XMM8..15 exist in 64-bit mode only; other modes leave them and their place in the image alone.
unsigned vector_registers(const Cpu& cpu) { return cpu.code64() ? 16 : 8; }

u64 aligned_address(Cpu& cpu, const Insn& insn, unsigned size, unsigned alignment, Access access) {
  const auto seg = static_cast<Seg>(insn.seg);
  const u64 offset = cpu.effective_address(insn);
  check_alignment(cpu, seg, offset, alignment);
  return cpu.linear(seg, offset, size, access);
}

void run_fxsave(Cpu& cpu, const Insn& insn) {
  check_needs(cpu, needs::X87);
  const u64 va = aligned_address(cpu, insn, x86::kFxsaveSize, 16, Access::Write);
  const auto seg = static_cast<Seg>(insn.seg);
  u8 image[x86::kFxsaveSize];
  store_legacy(cpu, insn, image);
  cpu.probe_write(va, x86::kFxsaveSize, seg);
  cpu.write_bytes(va, image, kXmmOffset + 16 * vector_registers(cpu), seg);
}

void run_fxrstor(Cpu& cpu, const Insn& insn) {
  check_needs(cpu, needs::X87);
  const u64 va = aligned_address(cpu, insn, x86::kFxsaveSize, 16, Access::Read);
  u8 image[x86::kFxsaveSize];
  cpu.read_bytes(va, image, sizeof(image), static_cast<Seg>(insn.seg));
  if (load<u32>(image + kMxcsrOffset) & ~x86::kMxcsrMask) cpu.raise(Vector::GP, 0);
  x86::load_fxsave(cpu.fpu, pointers(insn), image, vector_registers(cpu));
}

void check_xsave(Cpu& cpu) {
  if (!(cpu.sys.cr4 & cr4::OSXSAVE)) cpu.raise(Vector::UD);
  if (cpu.sys.cr0 & cr0::TS) cpu.raise(Vector::NM);
}

u64 requested(const Cpu& cpu) {
  const u64 mask = u64{cpu.reg<u32>(RDX * 8)} << 32 | cpu.reg<u32>(RAX * 8);
  return mask & cpu.sys.xcr0 & x86::kFpuComponents;
}

/// Bytes of component 2..7 that the mode transfers.
unsigned component_size(const Cpu& cpu, unsigned component) {
  const unsigned size = cpu.host_exec->xsave_layout().component[component].size;
  if (cpu.code64()) return size;
  return component == 2 || component == 6 ? size / 2 : component == 7 ? 0 : size;
}

/// Offset of component 2..7 in a compacted image with `compacted` (XCOMP_BV).
unsigned compacted_offset(const x86::XsaveLayout& layout, u64 compacted, unsigned component) {
  unsigned at = x86::kXsaveHeaderEnd;
  for (unsigned i = 2; i <= component; ++i) {
    if (!(compacted & bit(i))) continue;
    if (layout.component[i].aligned) at = static_cast<unsigned>(align_up(at, 64));
    if (i == component) break;
    at += layout.component[i].size;
  }
  return at;
}

/// The parts of a save area that one instruction writes: all are checked before the first is written.
class AreaWriter {
 public:
  AreaWriter(Cpu& cpu, const Insn& insn) : cpu_(cpu), insn_(insn) {}

  u8* at(unsigned offset) { return image_ + offset; }
  void add(unsigned offset, unsigned size) {
    if (size != 0) parts_[count_++] = {static_cast<u16>(offset), static_cast<u16>(size)};
  }
  void write(u64 va) {
    const auto seg = static_cast<Seg>(insn_.seg);
    for (unsigned i = 0; i < count_; ++i) cpu_.probe_write(va + parts_[i].offset, parts_[i].size, seg);
    for (unsigned i = 0; i < count_; ++i) {
      cpu_.write_bytes(va + parts_[i].offset, image_ + parts_[i].offset, parts_[i].size, seg);
    }
  }

 private:
  struct Part {
    u16 offset, size;
  };
  Cpu& cpu_;
  const Insn& insn_;
  Part parts_[12];
  unsigned count_ = 0;
  alignas(64) u8 image_[4096];
};

/// Components to their places; `compacted` is 0 for the standard format.
void add_components(Cpu& cpu, const Insn& insn, AreaWriter& area, u64 components, bool mxcsr, u64 compacted) {
  u8 legacy[x86::kFxsaveSize];
  store_legacy(cpu, insn, legacy);
  std::memcpy(area.at(0), legacy, x86::kFxsaveWritten);
  if (components & xcr0::X87) {
    area.add(0, kMxcsrOffset);
    area.add(32, 128);
  }
  if (mxcsr) area.add(kMxcsrOffset, 8);
  if (components & xcr0::SSE) area.add(kXmmOffset, 16 * vector_registers(cpu));
  const auto& layout = cpu.host_exec->xsave_layout();
  for (unsigned i = 2; i < x86::kXsaveComponents; ++i) {
    const auto& component = layout.component[i];
    if (!(components & bit(i)) || component.size == 0) continue;
    const unsigned offset = compacted != 0 ? compacted_offset(layout, compacted, i) : component.offset;
    if (offset + component.size > 4096) continue;
    x86::store_component(cpu.fpu, i, area.at(offset));
    area.add(offset, component_size(cpu, i));
  }
}

/// XSAVE writes every requested component, XSAVEOPT those that are in use.
template <bool optimized>
void run_xsave(Cpu& cpu, const Insn& insn) {
  check_xsave(cpu);
  const u64 mask = requested(cpu);
  const auto& layout = cpu.host_exec->xsave_layout();
  const u64 va = aligned_address(cpu, insn, layout.size(mask), 64, Access::Write);
  const u64 used = x86::components_in_use(cpu.fpu);
  u64 present = 0;
  cpu.read_bytes(va + kHeader, &present, sizeof(present), static_cast<Seg>(insn.seg));
  present = (present & ~mask) | (used & mask);

  AreaWriter area(cpu, insn);
  add_components(cpu, insn, area, optimized ? mask & used : mask, mask & (xcr0::SSE | xcr0::AVX), 0);
  store<u64>(area.at(kHeader), present);
  area.add(kHeader, 8);
  area.write(va);
}

/// XSAVEC, and XSAVES, which differ in privilege while no supervisor component exists (IA32_XSS = 0).
template <bool supervisor>
void run_xsavec(Cpu& cpu, const Insn& insn) {
  check_xsave(cpu);
  if (supervisor && cpu.cpl != 0) cpu.raise(Vector::GP, 0);
  const u64 mask = requested(cpu);
  u64 used = x86::components_in_use(cpu.fpu);
  if (cpu.fpu.mxcsr != x86::kMxcsrDefault) used |= xcr0::SSE;
  const u64 present = mask & used;
  const u64 compacted = mask | x86::kXcompCompacted;
  const auto& layout = cpu.host_exec->xsave_layout();
  const unsigned last = compacted_offset(layout, compacted, x86::kXsaveComponents - 1);
  const unsigned size = last + (mask & xcr0::Hi16Zmm ? layout.component[7].size : 0);
  const u64 va = aligned_address(cpu, insn, size, 64, Access::Write);

  AreaWriter area(cpu, insn);
  add_components(cpu, insn, area, present, present & xcr0::SSE, compacted);
  store<u64>(area.at(kHeader), present);
  store<u64>(area.at(kHeader + 8), compacted);
  area.add(kHeader, 16);
  area.write(va);
}

/// The header of a save area, checked (SDM 1 13.8, 13.12).
struct Header {
  u64 present = 0, compacted = 0;
};

Header check_header(Cpu& cpu, const u8* header, bool supervisor) {
  Header result{load<u64>(header), load<u64>(header + 8)};
  bool good = !(result.present & ~cpu.sys.xcr0);
  if (result.compacted & x86::kXcompCompacted) {
    good = good && cpu.host_exec->announced(ZYDIS_ISA_SET_XSAVEC);
    good =
        good && !(result.compacted & ~(cpu.sys.xcr0 | x86::kXcompCompacted)) && !(result.present & ~result.compacted);
    for (unsigned i = 16; i < 64; i += 8) good = good && load<u64>(header + i) == 0;
  } else {
    good = good && !supervisor && result.compacted == 0 && load<u64>(header + 16) == 0;
  }
  if (!good) cpu.raise(Vector::GP, 0);
  return result;
}

template <bool supervisor>
void run_xrstor(Cpu& cpu, const Insn& insn) {
  check_xsave(cpu);
  if (supervisor && cpu.cpl != 0) cpu.raise(Vector::GP, 0);
  const u64 mask = requested(cpu);
  const auto seg = static_cast<Seg>(insn.seg);
  const u64 va = aligned_address(cpu, insn, x86::kXsaveHeaderEnd, 64, Access::Read);
  alignas(64) u8 image[x86::kXsaveHeaderEnd];
  cpu.read_bytes(va, image, sizeof(image), seg);
  const Header header = check_header(cpu, image + kHeader, supervisor);
  const bool compact = header.compacted & x86::kXcompCompacted;
  const u64 loaded = mask & header.present;

  // MXCSR belongs to SSE in a compacted image, and to SSE and AVX, in use or not, in a standard one.
  const bool load_mxcsr = compact ? loaded & xcr0::SSE : mask & (xcr0::SSE | xcr0::AVX);
  if (load_mxcsr && (load<u32>(image + kMxcsrOffset) & ~x86::kMxcsrMask)) cpu.raise(Vector::GP, 0);

  const auto& layout = cpu.host_exec->xsave_layout();
  FpuState next = cpu.fpu;
  for (unsigned i = 0; i < x86::kXsaveComponents; ++i) {
    if (!(mask & bit(i))) continue;
    if (!(loaded & bit(i))) {
      x86::init_component(next, i);
    } else if (i == 0) {
      x86::load_fxsave_x87(next, pointers(insn), image);
    } else if (i == 1) {
      for (unsigned r = 0; r < 16; ++r) std::memcpy(next.zmm[r].data(), image + kXmmOffset + 16 * r, 16);
    } else {
      u8 component[1024] = {};
      const unsigned size = component_size(cpu, i);
      const unsigned offset = compact ? compacted_offset(layout, header.compacted, i) : layout.component[i].offset;
      if (size > sizeof(component)) continue;
      const u64 at = cpu.linear(seg, cpu.effective_address(insn) + offset, size, Access::Read);
      if (size != 0) cpu.read_bytes(at, component, size, seg);
      x86::load_component(next, i, component);
    }
  }
  if (load_mxcsr) {
    next.mxcsr = load<u32>(image + kMxcsrOffset);
  } else if (compact && (mask & xcr0::SSE)) {
    next.mxcsr = x86::kMxcsrDefault;
  }
  for (unsigned r = vector_registers(cpu); r < 32 && !cpu.code64(); ++r) next.zmm[r] = cpu.fpu.zmm[r];
  cpu.fpu = next;
}

}  // namespace

Handler xsave_handler(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64:
      return run_fxsave;
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
      return run_fxrstor;
    case ZYDIS_MNEMONIC_XSAVE:
    case ZYDIS_MNEMONIC_XSAVE64:
      return run_xsave<false>;
    case ZYDIS_MNEMONIC_XSAVEOPT:
    case ZYDIS_MNEMONIC_XSAVEOPT64:
      return run_xsave<true>;
    case ZYDIS_MNEMONIC_XSAVEC:
    case ZYDIS_MNEMONIC_XSAVEC64:
      return run_xsavec<false>;
    case ZYDIS_MNEMONIC_XSAVES:
    case ZYDIS_MNEMONIC_XSAVES64:
      return run_xsavec<true>;
    case ZYDIS_MNEMONIC_XRSTOR:
    case ZYDIS_MNEMONIC_XRSTOR64:
      return run_xrstor<false>;
    case ZYDIS_MNEMONIC_XRSTORS:
    case ZYDIS_MNEMONIC_XRSTORS64:
      return run_xrstor<true>;
    default:
      return nullptr;
  }
}

}  // namespace vireo::cpu::interp
