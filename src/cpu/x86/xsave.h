// FpuState to and from the memory images of FXSAVE and XSAVE (SDM 1 chapters 10.5 and 13). The interpreter and the KVM
// engine both go through here.
#pragma once

#include <array>
#include <span>

#include "vm/x86/cpuid.h"
#include "vm/x86/state.h"

namespace vireo::cpu::x86 {

constexpr unsigned kFxsaveSize = 512;
constexpr unsigned kXsaveHeaderOffset = 512;
constexpr unsigned kXsaveHeaderEnd = 576;
/// Bytes 464..511 belong to software; FXSAVE does not write them.
constexpr unsigned kFxsaveWritten = 464;
constexpr u32 kMxcsrDefault = 0x1F80;
/// MXCSR bits that exist; the rest raise #GP when loaded. Also the MXCSR_MASK field of the images.
constexpr u32 kMxcsrMask = 0xFFFF;
/// The state components FpuState can hold.
constexpr u64 kFpuComponents = vm::x86::xcr0::X87 | vm::x86::xcr0::SSE | vm::x86::xcr0::AVX | vm::x86::xcr0::Opmask |
                               vm::x86::xcr0::ZmmHi256 | vm::x86::xcr0::Hi16Zmm;
constexpr u64 kXcompCompacted = bit(63);
constexpr unsigned kXsaveComponents = 8;

/// The x87 pointers in an image: 64-bit FIP and FDP (REX.W forms), or 32-bit offsets with selectors.
enum class PointerFormat : u8 { Offset64, Selector32 };

/// The components above SSE as CPUID leaf 0Dh gives them: offset in a standard-format image and size; size 0: not
/// there.
struct XsaveLayout {
  struct Component {
    u32 offset = 0, size = 0;
    bool aligned = false;  ///< to 64 bytes in compacted images
  };
  std::array<Component, kXsaveComponents> component{};
  /// Sub-leaves of 0Dh in `cpuid`.
  static XsaveLayout from(const vm::x86::CpuidTable& cpuid);
  /// Bytes of a standard image with `components`.
  u32 size(u64 components) const;
};

/// Sets TOP and keeps what is in the physical registers: `st` is in stack order.
void set_x87_top(vm::x86::FpuState& fpu, unsigned top);

/// Bytes 0..463 of an FXSAVE image, with all 16 XMM registers; the reserved bytes 416..463 are zeroed.
void store_fxsave(const vm::x86::FpuState& fpu, PointerFormat format, u8* image);
/// x87 part (bytes 0..23 and 32..159) only.
void store_fxsave_x87(const vm::x86::FpuState& fpu, PointerFormat format, u8* image);
/// From at least 416 bytes. MXCSR is taken as it is, masked with kMxcsrMask: check it before.
void load_fxsave(vm::x86::FpuState& fpu, PointerFormat format, const u8* image, unsigned xmm_registers = 16);
void load_fxsave_x87(vm::x86::FpuState& fpu, PointerFormat format, const u8* image);

/// Component 2 or 5..7 to and from its `layout.component[i].size` bytes.
void store_component(const vm::x86::FpuState& fpu, unsigned component, u8* to);
void load_component(vm::x86::FpuState& fpu, unsigned component, const u8* from);
/// Puts one component (0..7) in its initial configuration; component 1 without MXCSR.
void init_component(vm::x86::FpuState& fpu, unsigned component);
/// Bit i: component i differs from its initial configuration (MXCSR is in none).
u64 components_in_use(const vm::x86::FpuState& fpu);

/// A whole standard-format image of layout.size(components) bytes, header included (XSTATE_BV = components). The image
/// must be at least that large; bytes beyond are left alone.
void store_xsave(const vm::x86::FpuState& fpu, const XsaveLayout& layout, u64 components, std::span<u8> image);
/// Loads the components that XSTATE_BV names and initialises the others of `components`. False, with nothing changed,
/// when the image is too small or compacted.
bool load_xsave(vm::x86::FpuState& fpu, const XsaveLayout& layout, u64 components, std::span<const u8> image);

}  // namespace vireo::cpu::x86
