#include "cpu/x86/xsave.h"

#include <algorithm>

#include "base/bytes.h"

namespace vireo::cpu::x86 {

using vm::x86::FpuState;

namespace {

constexpr unsigned kHi16First = 16;

bool all_zero(const u8* from, unsigned size) {
  u64 any = 0;
  for (; size >= 8; from += 8, size -= 8) any |= load<u64>(from);
  for (; size > 0; ++from, --size) any |= *from;
  return any == 0;
}

}  // namespace

XsaveLayout XsaveLayout::from(const vm::x86::CpuidTable& cpuid) {
  XsaveLayout layout;
  for (unsigned i = 2; i < kXsaveComponents; ++i) {
    if (!(kFpuComponents & bit(i))) continue;
    const auto* leaf = cpuid.find(0xD, i);
    if (leaf == nullptr || !leaf->subleaf_matters || leaf->eax == 0) continue;
    layout.component[i] = {leaf->ebx, leaf->eax, (leaf->ecx & 2) != 0};
  }
  return layout;
}

u32 XsaveLayout::size(u64 components) const {
  u32 end = kXsaveHeaderEnd;
  for (unsigned i = 2; i < kXsaveComponents; ++i) {
    if (components & bit(i)) end = std::max(end, component[i].offset + component[i].size);
  }
  return end;
}

void set_x87_top(FpuState& fpu, unsigned top) {
  const unsigned turn = (top - (fpu.fsw >> 11)) & 7;
  std::rotate(fpu.st.begin(), fpu.st.begin() + turn, fpu.st.end());
  fpu.fsw = static_cast<u16>((fpu.fsw & ~0x3800) | top << 11);
}

void store_fxsave_x87(const FpuState& fpu, PointerFormat format, u8* image) {
  store<u16>(image, fpu.fcw);
  store<u16>(image + 2, fpu.fsw);
  store<u16>(image + 4, fpu.ftw);
  store<u16>(image + 6, fpu.fop);
  if (format == PointerFormat::Offset64) {
    store<u64>(image + 8, fpu.fip);
    store<u64>(image + 16, fpu.fdp);
  } else {
    store<u32>(image + 8, static_cast<u32>(fpu.fip));
    store<u32>(image + 12, fpu.fcs);
    store<u32>(image + 16, static_cast<u32>(fpu.fdp));
    store<u32>(image + 20, fpu.fds);
  }
  for (unsigned i = 0; i < 8; ++i) {
    std::memcpy(image + 32 + 16 * i, fpu.st[i].data(), 10);
    std::memset(image + 32 + 16 * i + 10, 0, 6);
  }
}

void store_fxsave(const FpuState& fpu, PointerFormat format, u8* image) {
  store_fxsave_x87(fpu, format, image);
  store<u32>(image + 24, fpu.mxcsr);
  store<u32>(image + 28, kMxcsrMask);
  for (unsigned i = 0; i < 16; ++i) std::memcpy(image + 160 + 16 * i, fpu.zmm[i].data(), 16);
  std::memset(image + 416, 0, kFxsaveWritten - 416);
}

void load_fxsave_x87(FpuState& fpu, PointerFormat format, const u8* image) {
  fpu.fcw = static_cast<u16>((load<u16>(image) & 0x1F7F) | 0x40);
  fpu.fsw = load<u16>(image + 2) & 0x7F7F;
  // The summary bits follow from the flags and masks (SDM 1 8.1.3.3).
  if (fpu.fsw & ~fpu.fcw & 0x3F) fpu.fsw |= 0x8080;
  fpu.ftw = image[4];
  fpu.fop = load<u16>(image + 6) & 0x7FF;
  if (format == PointerFormat::Offset64) {
    fpu.fip = load<u64>(image + 8);
    fpu.fdp = load<u64>(image + 16);
    fpu.fcs = fpu.fds = 0;
  } else {
    fpu.fip = load<u32>(image + 8);
    fpu.fcs = load<u16>(image + 12);
    fpu.fdp = load<u32>(image + 16);
    fpu.fds = load<u16>(image + 20);
  }
  for (unsigned i = 0; i < 8; ++i) {
    std::memcpy(fpu.st[i].data(), image + 32 + 16 * i, 10);
    std::memset(fpu.st[i].data() + 10, 0, 6);
  }
}

void load_fxsave(FpuState& fpu, PointerFormat format, const u8* image, unsigned xmm_registers) {
  load_fxsave_x87(fpu, format, image);
  fpu.mxcsr = load<u32>(image + 24) & kMxcsrMask;
  for (unsigned i = 0; i < xmm_registers; ++i) std::memcpy(fpu.zmm[i].data(), image + 160 + 16 * i, 16);
}

void store_component(const FpuState& fpu, unsigned component, u8* to) {
  switch (component) {
    case 2:
      for (unsigned i = 0; i < 16; ++i) std::memcpy(to + 16 * i, fpu.zmm[i].data() + 16, 16);
      break;
    case 5:
      for (unsigned i = 0; i < 8; ++i) store<u64>(to + 8 * i, fpu.opmask[i]);
      break;
    case 6:
      for (unsigned i = 0; i < 16; ++i) std::memcpy(to + 32 * i, fpu.zmm[i].data() + 32, 32);
      break;
    case 7:
      for (unsigned i = 0; i < 16; ++i) std::memcpy(to + 64 * i, fpu.zmm[kHi16First + i].data(), 64);
      break;
    default:
      break;
  }
}

void load_component(FpuState& fpu, unsigned component, const u8* from) {
  switch (component) {
    case 2:
      for (unsigned i = 0; i < 16; ++i) std::memcpy(fpu.zmm[i].data() + 16, from + 16 * i, 16);
      break;
    case 5:
      for (unsigned i = 0; i < 8; ++i) fpu.opmask[i] = load<u64>(from + 8 * i);
      break;
    case 6:
      for (unsigned i = 0; i < 16; ++i) std::memcpy(fpu.zmm[i].data() + 32, from + 32 * i, 32);
      break;
    case 7:
      for (unsigned i = 0; i < 16; ++i) std::memcpy(fpu.zmm[kHi16First + i].data(), from + 64 * i, 64);
      break;
    default:
      break;
  }
}

void init_component(FpuState& fpu, unsigned component) {
  switch (component) {
    case 0:
      fpu.fcw = 0x37F;
      fpu.fsw = fpu.fop = fpu.fcs = fpu.fds = 0;
      fpu.ftw = 0;
      fpu.fip = fpu.fdp = 0;
      for (auto& st : fpu.st) st.fill(0);
      break;
    case 1:
      for (unsigned i = 0; i < 16; ++i) std::memset(fpu.zmm[i].data(), 0, 16);
      break;
    case 2:
      for (unsigned i = 0; i < 16; ++i) std::memset(fpu.zmm[i].data() + 16, 0, 16);
      break;
    case 5:
      fpu.opmask.fill(0);
      break;
    case 6:
      for (unsigned i = 0; i < 16; ++i) std::memset(fpu.zmm[i].data() + 32, 0, 32);
      break;
    case 7:
      for (unsigned i = kHi16First; i < 32; ++i) fpu.zmm[i].fill(0);
      break;
    default:
      break;
  }
}

u64 components_in_use(const FpuState& fpu) {
  u64 used = 0;
  bool x87 = fpu.fcw != 0x37F || (fpu.fsw | fpu.ftw | fpu.fop | fpu.fcs | fpu.fds) != 0 || (fpu.fip | fpu.fdp) != 0;
  for (const auto& st : fpu.st) x87 = x87 || !all_zero(st.data(), 10);
  if (x87) used |= vm::x86::xcr0::X87;
  for (unsigned i = 0; i < 16; ++i) {
    const u8* at = fpu.zmm[i].data();
    if (!all_zero(at, 16)) used |= vm::x86::xcr0::SSE;
    if (!all_zero(at + 16, 16)) used |= vm::x86::xcr0::AVX;
    if (!all_zero(at + 32, 32)) used |= vm::x86::xcr0::ZmmHi256;
    if (!all_zero(fpu.zmm[kHi16First + i].data(), 64)) used |= vm::x86::xcr0::Hi16Zmm;
  }
  for (u64 mask : fpu.opmask) {
    if (mask != 0) used |= vm::x86::xcr0::Opmask;
  }
  return used;
}

void store_xsave(const FpuState& fpu, const XsaveLayout& layout, u64 components, std::span<u8> image) {
  components &= kFpuComponents;
  if (image.size() < layout.size(components)) return;
  store_fxsave(fpu, PointerFormat::Offset64, image.data());
  std::memset(image.data() + kFxsaveWritten, 0, kXsaveHeaderEnd - kFxsaveWritten);
  u64 present = 0;
  for (unsigned i = 0; i < kXsaveComponents; ++i) {
    if (!(components & bit(i))) continue;
    if (i >= 2) {
      if (layout.component[i].size == 0) continue;
      store_component(fpu, i, image.data() + layout.component[i].offset);
    }
    present |= bit(i);
  }
  store<u64>(image.data() + kXsaveHeaderOffset, present);
}

bool load_xsave(FpuState& fpu, const XsaveLayout& layout, u64 components, std::span<const u8> image) {
  components &= kFpuComponents;
  if (image.size() < kXsaveHeaderEnd) return false;
  const u64 present = load<u64>(image.data() + kXsaveHeaderOffset) & components;
  if (load<u64>(image.data() + kXsaveHeaderOffset + 8) != 0 || image.size() < layout.size(present)) return false;
  for (unsigned i = 0; i < kXsaveComponents; ++i) {
    if (!(components & bit(i))) continue;
    if (!(present & bit(i)) || (i >= 2 && layout.component[i].size == 0)) {
      init_component(fpu, i);
    } else if (i == 0) {
      load_fxsave_x87(fpu, PointerFormat::Offset64, image.data());
    } else if (i == 1) {
      for (unsigned r = 0; r < 16; ++r) std::memcpy(fpu.zmm[r].data(), image.data() + 160 + 16 * r, 16);
    } else {
      load_component(fpu, i, image.data() + layout.component[i].offset);
    }
  }
  fpu.mxcsr = load<u32>(image.data() + 24) & kMxcsrMask;
  return true;
}

}  // namespace vireo::cpu::x86
